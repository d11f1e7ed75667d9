# Joins the engine's objects into one and hides all but the public names, so that the static library cannot
# clash with a program's own. Called with LD, OBJCOPY, OUTPUT and OBJECTS (separated by |).
string(REPLACE "|" ";" OBJECTS "${OBJECTS}")
execute_process(COMMAND ${LD} -r -o ${OUTPUT} ${OBJECTS} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${OBJCOPY} --wildcard --keep-global-symbol=onnxd_* ${OUTPUT} COMMAND_ERROR_IS_FATAL ANY)
