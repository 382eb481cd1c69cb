"""One page that needs nothing else: style for light and dark, nothing fetched, every text escaped."""

from __future__ import annotations

from html import escape
from typing import Final

from floodwarden.report import printable

STYLE: Final = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#647084;--line:#e2e6ec;--blue:#3b6fd4;
--amber:#d08a16;--red:#cf3a3a;--green:#2c8a57;--violet:#7a55c7}
@media(prefers-color-scheme:dark){:root{--bg:#12161d;--card:#1a2029;--ink:#e6eaf1;--soft:#93a0b4;--line:#2a323f;
--blue:#6f9bf0;--amber:#e5ac4d;--red:#f07070;--green:#5cc08b;--violet:#ab8cf0}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}h1{font-size:24px;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:36px 0 12px}.soft{color:var(--soft)}.mono{font-family:ui-monospace,Menlo,Consolas,monospace;
font-size:13px;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px;margin-top:20px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:25px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.card{margin-bottom:12px}.head{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:baseline}
.head .who{font-weight:600}.head .when{margin-left:auto;color:var(--soft);font-size:13px}
.tag{border-radius:999px;padding:1px 9px;font-size:12px;font-weight:600;border:1px solid currentColor}
.critical,.high,.deny{color:var(--red)}.medium,.throttle{color:var(--amber)}.low,.challenge{color:var(--blue)}
.info,.notice,.refused{color:var(--soft)}
.summary{margin:8px 0 0}ul{margin:8px 0 0;padding-left:20px}li{overflow-wrap:anywhere}
.why{display:grid;grid-template-columns:minmax(90px,auto) 1fr;gap:4px 12px;margin-top:10px;font-size:13px;
align-items:center}
.bar{height:9px;border-radius:5px;background:var(--violet);min-width:2px}.bar+span,.why span{color:var(--soft)}
.done{margin-top:10px;padding-top:8px;border-top:1px solid var(--line);font-size:14px}
table{width:100%;border-collapse:collapse;font-size:14px}th{text-align:left;color:var(--soft);font-weight:500}
th,td{padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr:last-child td{border-bottom:0}.scroll{overflow-x:auto}
svg{width:100%;height:auto;display:block}td.mono{min-width:160px}
svg text{fill:var(--soft);font-size:11px;paint-order:stroke;stroke:var(--card);stroke-width:3px}
.b0{fill:var(--blue);opacity:.55}.b1{fill:var(--amber)}.b2{fill:var(--red)}.grid{stroke:var(--line)}
.mark{fill:var(--red)}.key{display:inline-block;width:10px;height:10px;border-radius:3px;margin:0 5px 0 14px}
.none{color:var(--green);font-weight:600}
"""


def document(title: str, body: str, *, style: str = "") -> str:
    """A whole page of `body` (made of `shown` texts), with more `style` where it needs some."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{shown(title)}</title><style>{STYLE}{style}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def shown(text: object) -> str:
    """Any text as HTML shows it: escaped, and without characters that hide or reorder."""
    return escape(printable(str(text)), quote=True)
