#include "evolve/replay.h"

#include <stdio.h>

#include "base/error.h"
#include "json/json_writer.h"

enum { MAX_FRAME_BYTES = 256 << 20 };

void replay_init(struct replay *replay, const struct arena_options *options, const char *const *names)
{
    *replay = (struct replay){.options = *options, .winner = -1};
    for (uint32_t t = 0; t < options->n_teams; t++)
        snprintf(replay->names[t], REPLAY_MAX_NAME, "%s", names[t]);
    buf_init(&replay->frames, MAX_FRAME_BYTES);
}

void replay_done(struct replay *replay)
{
    buf_done(&replay->frames);
}

/* A frame: for each ship x, y, nose, health, shield, beam, hit; small numbers rounded to what a screen shows.
 */
void replay_add(struct replay *replay, const struct arena_match *match)
{
    buf_append_text(&replay->frames, replay->n_frames++ == 0 ? "[" : ",\n[");
    for (uint32_t i = 0; i < match->n_ships; i++) {
        const struct arena_ship *s = &match->ships[i];
        buf_printf(&replay->frames, "%s[%.1f,%.1f,%.3f,%.3f,%.1f,%.1f,%.0f,%d]", i == 0 ? "" : ",",
                   (double)s->x, (double)s->y, (double)s->nose_x, (double)s->nose_y, (double)s->health,
                   (double)s->shield, (double)s->beam, s->hit);
    }
    buf_append_char(&replay->frames, ']');
    replay->winner = match->winner;
}

static const char HEAD[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>arena replay</title>\n"
    "<style>\n"
    "body{background:#10141c;color:#dde;font:14px sans-serif;margin:16px}\n"
    "canvas{background:#05070c;border:1px solid #345;display:block;max-width:100%}\n"
    "#bar{display:flex;gap:10px;align-items:center;width:800px;max-width:100%;margin-top:8px}\n"
    "#seek{flex:1}button,select{background:#234;color:#dde;border:1px solid #456;padding:4px 12px}\n"
    ".team{display:inline-block;margin-right:24px}\n"
    "</style></head><body>\n"
    "<div id=\"teams\"></div>\n"
    "<canvas id=\"view\" width=\"800\" height=\"800\"></canvas>\n"
    "<div id=\"bar\"><button id=\"play\">play</button>\n"
    "<input id=\"seek\" type=\"range\" min=\"0\" value=\"0\"><span id=\"clock\"></span>\n"
    "<select id=\"speed\"><option value=\"0.25\">x 1/4</option><option value=\"0.5\">x 1/2</option>"
    "<option value=\"1\" selected>x 1</option><option value=\"2\">x 2</option><option value=\"4\">x "
    "4</option>"
    "<option value=\"8\">x 8</option></select></div>\n<script>\n\"use strict\";\nconst match = ";

static const char SCRIPT[] =
    ";\n"
    "const colours = ['#4da3ff', '#ff6b5a', '#6fd66f', '#e8c547'];\n"
    "const at = id => document.getElementById(id), view = at('view'), pen = view.getContext('2d');\n"
    "const scale = view.width / match.size;\n"
    "let frame = 0, playing = false, last = 0;\n"
    "at('seek').max = match.frames.length - 1;\n"
    "match.names.forEach((name, t) => {\n"
    "  const label = document.createElement('span');\n"
    "  label.className = 'team';\n"
    "  label.style.color = colours[t];\n"
    "  label.textContent = name + (match.winner === t ? ' (won)' : '');\n"
    "  at('teams').append(label);\n"
    "});\n"
    "function ship(s, team) {\n"
    "  const [x, y, nx, ny, health, shield, beam, hit] = s;\n"
    "  if (health <= 0) return;\n"
    "  pen.save();\n"
    "  pen.translate(x * scale, y * scale);\n"
    "  pen.fillStyle = pen.strokeStyle = hit ? '#fff' : colours[team];\n"
    "  pen.beginPath();\n"
    "  pen.moveTo(nx * 14, ny * 14);\n"
    "  pen.lineTo(-nx * 9 - ny * 8, -ny * 9 + nx * 8);\n"
    "  pen.lineTo(-nx * 9 + ny * 8, -ny * 9 - nx * 8);\n"
    "  pen.closePath();\n"
    "  pen.fill();\n"
    "  if (beam > 0) {\n"
    "    pen.lineWidth = 2;\n"
    "    pen.beginPath();\n"
    "    pen.moveTo(nx * 14, ny * 14);\n"
    "    pen.lineTo(nx * beam * scale, ny * beam * scale);\n"
    "    pen.stroke();\n"
    "  }\n"
    "  if (shield > 0) {\n"
    "    pen.globalAlpha = 0.15 + 0.5 * shield / match.shield;\n"
    "    pen.lineWidth = 1.5;\n"
    "    pen.beginPath();\n"
    "    pen.arc(0, 0, 19, 0, 7);\n"
    "    pen.stroke();\n"
    "    pen.globalAlpha = 1;\n"
    "  }\n"
    "  pen.fillStyle = '#333';\n"
    "  pen.fillRect(-18, 24, 36, 4);\n"
    "  pen.fillStyle = health > 40 ? '#6fd66f' : '#ff6b5a';\n"
    "  pen.fillRect(-18, 24, 36 * health / match.health, 4);\n"
    "  pen.restore();\n"
    "}\n"
    "function draw() {\n"
    "  const now = Math.floor(frame), ships = match.frames[now];\n"
    "  pen.clearRect(0, 0, view.width, view.height);\n"
    "  pen.globalAlpha = 0.35;\n"
    "  for (let back = Math.max(0, now - 60); back < now; back += 2)\n"
    "    match.frames[back].forEach((s, i) => {\n"
    "      if (s[4] <= 0) return;\n"
    "      pen.fillStyle = colours[Math.floor(i / match.ships)];\n"
    "      pen.fillRect(s[0] * scale - 1, s[1] * scale - 1, 2, 2);\n"
    "    });\n"
    "  pen.globalAlpha = 1;\n"
    "  ships.forEach((s, i) => ship(s, Math.floor(i / match.ships)));\n"
    "  at('seek').value = now;\n"
    "  at('clock').textContent = now + ' / ' + (match.frames.length - 1);\n"
    "  at('play').textContent = playing ? 'pause' : 'play';\n"
    "}\n"
    "function run(time) {\n"
    "  if (playing) {\n"
    "    frame = Math.min(frame + (time - last) * 0.06 * at('speed').value, match.frames.length - 1);\n"
    "    if (frame >= match.frames.length - 1) playing = false;\n"
    "    draw();\n"
    "  }\n"
    "  last = time;\n"
    "  requestAnimationFrame(run);\n"
    "}\n"
    "function toggle() {\n"
    "  if (!playing && frame >= match.frames.length - 1) frame = 0;\n"
    "  playing = !playing;\n"
    "  draw();\n"
    "}\n"
    "function seek(to) {\n"
    "  frame = Math.max(0, Math.min(to, match.frames.length - 1));\n"
    "  draw();\n"
    "}\n"
    "at('play').onclick = toggle;\n"
    "at('seek').oninput = e => { playing = false; seek(Number(e.target.value)); };\n"
    "document.onkeydown = e => {\n"
    "  if (e.target.tagName === 'SELECT') return;\n"
    "  if (e.key === ' ') { e.preventDefault(); toggle(); }\n"
    "  if (e.key === 'ArrowRight') seek(Math.floor(frame) + 1);\n"
    "  if (e.key === 'ArrowLeft') seek(Math.floor(frame) - 1);\n"
    "};\n"
    "draw();\n"
    "requestAnimationFrame(run);\n"
    "</script></body></html>\n";

/* Names come from files: within a script element even a quoted "<" could end it. */
static void write_name(struct buf *out, const char *name)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, 4096);
    json_writer_init(&w, &text, JSON_REFUSE_NON_FINITE);
    json_string(&w, name);
    for (size_t i = 0; i < text.n; i++) {
        if (text.data[i] == '<')
            buf_append_text(out, "\\u003c");
        else
            buf_append_char(out, text.data[i]);
    }
    if (text.failed) out->failed = true;
    buf_done(&text);
}

onnxd_status replay_page(const struct replay *replay, struct buf *out, onnxd_error *err)
{
    buf_append_text(out, HEAD);
    buf_printf(out, "{\"size\":%.0f,\"ships\":%u,\"health\":%.0f,\"shield\":%.0f,\"winner\":%d,\"names\":[",
               (double)ARENA_SIZE, replay->options.ships_a_team, (double)ARENA_HEALTH, (double)ARENA_SHIELD,
               replay->winner);
    for (uint32_t t = 0; t < replay->options.n_teams; t++) {
        if (t > 0) buf_append_char(out, ',');
        write_name(out, replay->names[t]);
    }
    buf_append_text(out, "],\"frames\":[");
    if (replay->frames.n > 0) buf_append(out, replay->frames.data, replay->frames.n);
    buf_append_text(out, "]}");
    buf_append_text(out, SCRIPT);
    return out->failed || replay->frames.failed
               ? error_set(err, ONNXD_ERR_LIMIT, "replay: larger than its buffer")
               : ONNXD_OK;
}
