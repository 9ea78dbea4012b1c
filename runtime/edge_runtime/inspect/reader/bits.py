"""The bits of a header, first the most significant one of each byte."""

from __future__ import annotations

__all__ = ["Bits"]


class Bits:
    """Reads from a front that moves on. Behind the last bit come zeros, so that a header that is cut ends, too."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    @classmethod
    def of_unit(cls, unit: bytes) -> Bits:
        """The bits of a NAL unit, without the bytes that keep start codes out of it (ISO/IEC 14496-10, 7.4.1)."""
        return cls(unit.replace(b"\0\0\3", b"\0\0"))

    def u(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else self._value << -self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Return an Exp-Golomb code (ISO/IEC 14496-10, 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:  # no header has one
                return 0
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Return a signed one."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -code // 2

    def ues(self, count: int) -> None:
        """Pass over so many Exp-Golomb codes."""
        for _ in range(count):
            self.ue()
