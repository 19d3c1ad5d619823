# Installs BUILD_DIR into a fresh prefix, then configures, builds and runs the consumer against it.
set(work ${BUILD_DIR}/tests/installed)
file(REMOVE_RECURSE ${work})

macro(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endmacro()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${work}/prefix)
# A sanitized library needs its consumer to link the sanitizer's runtime.
if(SANITIZE)
  set(link_flags -DCMAKE_EXE_LINKER_FLAGS=-fsanitize=${SANITIZE})
endif()
# What docs/pool.md begins with is built as it says.
file(COPY ${CMAKE_CURRENT_LIST_DIR}/consumer/ ${CMAKE_CURRENT_LIST_DIR}/../../docs/examples/squares.cpp
  DESTINATION ${work}/consumer)
run(${CMAKE_COMMAND} -S ${work}/consumer -B ${work}/build -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${work}/prefix ${link_flags})
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)
execute_process(COMMAND ${work}/build/squares OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
if(NOT said STREQUAL "1\n4\n9\n")
  message(FATAL_ERROR "squares says '${said}'")
endif()

execute_process(COMMAND ${work}/prefix/bin/bulkhead version OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
if(NOT said MATCHES "bulkhead ${VERSION}")
  message(FATAL_ERROR "the installed command says '${said}', expected version ${VERSION}")
endif()
