# Makes one C file of a page: FOLDER/NAME.html with NAME.css and NAME.js in the places that name them, and the
# Content-Security-Policy that allows just these two by their hashes.
# usage: cmake -DFOLDER=... -DNAME=... -DOUTPUT=... -P embed_page.cmake
# Works on hexadecimal digits throughout: CMake's lists and escapes would damage plain text.

function(base64_of_hex hex ret)
  set(alphabet ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(text "")
  string(LENGTH "${hex}" n)
  set(i 0)
  while(i LESS n)
    string(SUBSTRING "${hex}0000" ${i} 6 three)
    math(EXPR word "0x${three}")
    foreach(shift 18 12 6 0)
      math(EXPR digit "(${word} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${digit} 1 letter)
      string(APPEND text ${letter})
    endforeach()
    math(EXPR i "${i} + 6")
  endwhile()
  math(EXPR padding "(${i} - ${n}) / 2")
  string(LENGTH "${text}" n)
  math(EXPR n "${n} - ${padding}")
  string(SUBSTRING "${text}" 0 ${n} text)
  string(REPEAT "=" ${padding} tail)
  set(${ret} "${text}${tail}" PARENT_SCOPE)
endfunction()

file(READ ${FOLDER}/${NAME}.html page HEX)
foreach(kind css js)
  file(READ ${FOLDER}/${NAME}.${kind} part HEX)
  string(HEX "<!--${NAME}.${kind}-->" place)
  string(REPLACE ${place} ${part} page ${page})
  file(SHA256 ${FOLDER}/${NAME}.${kind} hash)
  base64_of_hex(${hash} hash_${kind})
endforeach()
string(REGEX REPLACE "(................................)" "\\1\n" page ${page})
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," page "${page}")
file(WRITE ${OUTPUT} "#include <stddef.h>\n
extern const unsigned char ${NAME}_page[];
extern const size_t ${NAME}_page_bytes;
extern const char ${NAME}_page_policy[];
const unsigned char ${NAME}_page[] = {\n${page}\n};
const size_t ${NAME}_page_bytes = sizeof ${NAME}_page;
const char ${NAME}_page_policy[] = \"default-src 'none'; connect-src 'self'; img-src data:; form-action 'none'; \"
    \"base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-${hash_css}'; script-src 'sha256-${hash_js}'\";\n")
