/* A plugin of qemu's: counts the instructions that the emulated program executes, and writes the count at each mark.
 *
 * A mark is the system call getpriority(MARK, 0), which does nothing but fail: os.getpriority(MARK, 0) in Python. The
 * lines "instructions N" go to standard error, N since the start, of all threads.
 *
 * Debian ships no header for plugins; what is needed of qemu 7.2's is declared here. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

enum { MARK = 0x45444745, GETPRIORITY = 141 /* on aarch64 */, THREADS = 1024, LINE = 64 /* bytes of the cache */ };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
typedef void (*on_translation)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*on_execution)(unsigned int, void *);
typedef void (*on_syscall)(qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, on_translation);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, on_syscall);

EXPORT int qemu_plugin_version = 1;

/* One count for each thread, so that none waits for another; each in a cache line of its own. */
static struct {
    uint64_t count;
    char apart[LINE - sizeof(uint64_t)];
} counts[THREADS];

static void executed(unsigned int thread, void *instructions) {
    counts[thread % THREADS].count += (uintptr_t)instructions;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS,
                                         (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void called(qemu_plugin_id_t id, unsigned int thread, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)thread, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != GETPRIORITY || (uint32_t)a1 != MARK) return;
    uint64_t total = 0;
    for (int i = 0; i < THREADS; i++) total += counts[i].count;
    fprintf(stderr, "instructions %" PRIu64 "\n", total);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
