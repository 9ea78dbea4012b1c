"""The report's style sheet: one column on a phone, two on a desk, dark where the reader's system is, fit for paper."""

from __future__ import annotations

__all__ = ["CSS"]

CSS = """
:root{color-scheme:light dark;--page:#f3f5f7;--card:#fff;--ink:#191c20;--soft:#565e69;--line:#dde1e6;
--fill:#eef1f4;--good:#0a7046;--goodfill:#e4f4ec;--check:#7d5000;--checkfill:#fdf1d8;--bad:#a8201a;--badfill:#fce8e6;
--none:#a0a7b0}
@media(prefers-color-scheme:dark){:root{--page:#121519;--card:#1b1f25;--ink:#e7eaee;--soft:#a9b1bc;--line:#353c46;
--fill:#262c34;--good:#6fd6a4;--goodfill:#14301f;--check:#f0c060;--checkfill:#362a10;--bad:#ff9f97;--badfill:#3d1a18;
--none:#6c7480}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;
background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 14px 40px}
h1{font-size:1.5rem;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:0 0 .5rem}
h3{font-size:.95rem;margin:1.1rem 0 .3rem}
p{margin:.4rem 0}
header p,.soft,caption,figcaption{color:var(--soft)}
.soft,caption,figcaption,td small,.legend{font-size:.875rem}
code,.name{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85em;overflow-wrap:anywhere}
.flag{white-space:nowrap}
.verdict{border-left:6px solid;border-radius:8px;padding:12px 16px;margin:14px 0}
.verdict .word{font-weight:700;margin:0}
.verdict .sentence{font-size:1.05rem;margin:.2rem 0 0;color:var(--ink)}
.good{color:var(--good);background:var(--goodfill)}.check{color:var(--check);background:var(--checkfill)}
.bad{color:var(--bad);background:var(--badfill)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:0 0 14px}
.tile,section{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:10px 14px}
.tile b{display:block;font-size:1.55rem;line-height:1.3;font-variant-numeric:tabular-nums}
.tile span{display:block;color:var(--soft);font-size:.875rem;overflow-wrap:anywhere}
section{padding:16px;margin:0 0 14px;min-width:0}
.pair{display:grid;gap:14px;grid-template-columns:minmax(0,1fr);margin:0 0 14px}.pair section{margin:0}
@media(min-width:900px){.pair{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}}
.split{display:grid;gap:6px 28px;grid-template-columns:minmax(0,1fr)}.split>div{min-width:0}
@media(min-width:900px){.split{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}}
.split h3{margin-top:.4rem}
ul{margin:.2rem 0;padding-left:1.2rem}li{margin:.35rem 0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin-top:12px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:6px 8px;border-top:1px solid var(--line)}
th:first-child{padding-left:0}th:last-child,td:last-child{padding-right:0}
thead th{border-top:0;color:var(--soft);font-weight:600;font-size:.8125rem;vertical-align:bottom}
tbody th{font-weight:500;overflow-wrap:anywhere;min-width:7rem}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td small{display:block;color:var(--soft)}
tr.total th,tr.total td{font-weight:700}
.badge{display:inline-block;border-radius:999px;padding:0 8px;font-size:.78rem;white-space:nowrap;
background:var(--fill);color:var(--ink)}
.badge.bad{background:var(--badfill);color:var(--bad)}
.key{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin-right:.4em;vertical-align:baseline}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:.4rem 0 0;padding:0;list-style:none}.legend li{margin:0}
figure{margin:.6rem 0 0}figure svg{display:block;width:100%;max-width:560px;height:auto}
svg text{fill:var(--ink);font:14px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
svg text.dim{fill:var(--soft);font-size:13px}
svg .grid{stroke:var(--line);stroke-width:1}svg .axis{stroke:var(--soft);stroke-width:1}
svg .limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:5 4}svg text.limit-name{fill:var(--bad);font-size:13px}
svg .kept{stroke:var(--int8);fill:none;stroke-width:2}svg .undone{stroke:var(--soft);stroke-width:2}
svg .before{stroke:var(--fp32);fill:var(--fp32);stroke-width:2}
svg .after{stroke:var(--int8);fill:var(--int8);stroke-width:2}
svg.bar{display:block;width:100%;min-width:90px;height:10px;margin-top:7px;border-radius:3px;background:var(--fill)}
.p-none{fill:var(--none);background:var(--none)}
.flips{display:grid;gap:16px;grid-template-columns:minmax(0,1fr)}
@media(min-width:800px){.flips{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}}
.flip{margin:0;border-top:1px solid var(--line);padding-top:10px}
.flip .sides{display:grid;grid-template-columns:1fr 1fr;gap:6px}
.flip .sides>div{min-width:0}.flip img{display:block;width:100%;max-width:320px;height:auto;border-radius:4px}
.flip .sides span{font-size:.8125rem;color:var(--soft)}
details{margin-top:.5rem}summary{cursor:pointer;color:var(--int8);font-weight:600;padding:4px 0}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 16px;margin:0;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:620px){.cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.cards,.cards caption,.cards tbody,.cards tr,.cards th,.cards td{display:block;width:auto;text-align:left}
.cards tr{border-top:1px solid var(--line);padding:8px 0}.cards th,.cards td{border:0;padding:1px 0;white-space:normal}
.cards tbody th{font-weight:600}.cards td:empty{display:none}
.cards td{display:grid;grid-template-columns:7.5rem minmax(0,1fr);overflow-wrap:anywhere}
.cards td .badge{justify-self:start}figcaption{margin-top:4px}
.cards td::before{content:attr(data-head);color:var(--soft);font-size:.8125rem}.cards td small{grid-column:2}}
@media(max-width:480px){.tiles{grid-template-columns:1fr 1fr}.tile:last-child:nth-child(odd){grid-column:1/-1}}
@media(max-width:480px){dl{grid-template-columns:minmax(0,1fr)}dd{margin-bottom:.4rem}section{padding:14px 12px}}
@media print{:root{color-scheme:light}body{background:#fff;font-size:11pt}main{max-width:none;padding:0}
section,.tile,.verdict{border-color:#bbb}.tile,.verdict,.flip,figure,tr,li{break-inside:avoid}h2,h3,caption{break-after:avoid}
details::details-content{content-visibility:visible;height:auto}.scroll{overflow:visible}
.split,.flips{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}.tiles{grid-template-columns:repeat(5,1fr)}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
""".strip()
