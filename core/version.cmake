# Writes OUTPUT, the source that knows version and revision, from TEMPLATE. Run at each build; a file that says the same
# already is left alone, so that nothing is compiled again. GIVEN is what -DAUTHURL_REVISION has, ROOT the project's folder.
set(AUTHURL_REVISION "${GIVEN}")
if(NOT AUTHURL_REVISION)
  execute_process(COMMAND "${ROOT}/core/revision.sh" OUTPUT_VARIABLE AUTHURL_REVISION OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
if(NOT AUTHURL_REVISION MATCHES "^[0-9A-Za-z.+~-]*$")
  message(FATAL_ERROR "AUTHURL_REVISION is \"${AUTHURL_REVISION}\": only letters, digits and . + ~ - may be in it")
endif()
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
