"""The page about families, its example, and a family of an operator's own."""

from __future__ import annotations

from textwrap import dedent

from servers import ROOT

OWN = """
version: 1
families:
  - name: scalping
    what: baskets filled by a tool
    about: [ip]
    opportunity: {each: request}
    mark: {where: {route: /cart/*, method: POST, agent: {begins: curl/}}}
    usual: 0.01
    answer: {ip: deny}
    severity: high
    sentence: "{marks} baskets in {span}"
    owasp: OAT-005
"""
PAGE = (ROOT / "docs" / "families.md").read_text("utf-8")
EXAMPLE = dedent(PAGE.partition("## Your own\n")[2].partition("\n`FLOODWARDEN_FAMILIES")[0])
