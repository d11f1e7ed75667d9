#include "stats/html_page.h"

/* Colours are named once for light and once for dark. */
static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d2430;--soft:#5a6472;--line:#e3e6ea;--page:#ffffff;--blue:#2563eb;"
    "--band:#2563eb22;--axis:#9aa3ad;--c1:#2563eb;--c2:#c77700;--c3:#b42318;--c4:#8a94a0;--good:#1b8a5a;--"
    "goodbg:#eef8f3;--warn:#c77700;--warnbg:#fdf5e8;--bad:#b42318;--badbg:#"
    "fdeceb}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b4;--line:#313844;--page:#14181f;"
    "--blue:#7aa7ff;--band:#7aa7ff26;--axis:#5d6875;--c1:#7aa7ff;--c2:#f0a83c;--c3:#ff8a7a;--c4:#7d8896;--"
    "good:#4cc38a;--goodbg:#15291f;--warn:#f0a83c;--warnbg:#2e2412;--bad:#"
    "ff8a7a;"
    "--badbg:#331a18}}\n"
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:900px;margin:2em "
    "auto;padding:0 1em}\n"
    "h1{font-size:1.4em;margin-bottom:.2em;overflow-wrap:anywhere}h2{font-size:1.15em;margin-top:2em}h3{font-"
    "size:1em;margin:1.6em "
    "0 .2em}\n"
    "p.s,td.e,small{color:var(--soft)}p.s{margin-top:.2em}a{color:var(--blue)}\n"
    "table{border-collapse:collapse;width:100%}td,th{padding:.35em .6em;border-bottom:1px solid var(--line);"
    "text-align:left;vertical-align:top}th{font-weight:600}\n"
    "td.v{white-space:nowrap;font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}td.v{font-variant-numeric:tabular-nums}td.v "
    "small{display:block;font-weight:400}td.u{overflow-wrap:anywhere}div.w{overflow-x:auto}\n"
    "tr.best td{background:var(--goodbg)}.bar{display:inline-block;height:.6em;background:var(--band);"
    "border-radius:2px;margin-right:.4em;vertical-align:middle}\n"
    ".b{padding:.7em 1em;border-left:4px solid var(--good);background:var(--goodbg)}"
    ".b.w{border-color:var(--warn);background:var(--warnbg)}.b.x{border-color:var(--bad);background:var(--"
    "badbg)}\n"
    "svg{width:100%;height:auto;margin-top:.3em}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}"
    "svg text.t{font-size:13px;fill:var(--ink)}svg .g{stroke:var(--line)}svg .d{fill:var(--blue)}"
    "svg .i{stroke:var(--blue);stroke-width:1.5}svg .p{stroke:var(--blue);fill:none;opacity:.45}"
    "svg .k{fill:var(--bad)}svg .a{fill:var(--band)}\n";

void html_escape(struct buf *buf, const char *text)
{
    for (; *text != 0; text++) {
        switch (*text) {
        case '<': buf_append_text(buf, "&lt;"); break;
        case '>': buf_append_text(buf, "&gt;"); break;
        case '&': buf_append_text(buf, "&amp;"); break;
        case '"': buf_append_text(buf, "&quot;"); break;
        case '\'': buf_append_text(buf, "&#39;"); break;
        default: buf_append_char(buf, *text);
        }
    }
}

void html_page_begin(struct buf *buf, const char *title, const char *heading)
{
    buf_append_text(
        buf, "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
             "<meta name='viewport' content='width=device-width'>\n<link rel='icon' href='data:,'><title>");
    html_escape(buf, title);
    buf_append_text(buf, "</title><style>\n");
    buf_append_text(buf, style);
    buf_append_text(buf, "</style></head><body>\n<h1>");
    html_escape(buf, heading);
    buf_append_text(buf, "</h1>\n");
}

void html_page_end(struct buf *buf)
{
    buf_append_text(buf, "</body></html>\n");
}
