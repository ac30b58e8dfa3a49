# The test apps without ESP-IDF: programs for this machine, or with -DPIENN_SIMULATOR=esp32p4|esp32s3 for the simulator.
#
#   add_test_app(<name>)                  the target to which an app adds its sources; builds <name>, or <name>.elf
#   test_app_target(<variable>)           esp32p4, esp32s3 or linux, in ESP-IDF as well
#   test_app_python(<variable>)           the interpreter that runs the generator
include_guard(GLOBAL)
cmake_policy(PUSH)
cmake_policy(VERSION 3.20...3.25)
get_filename_component(checkout "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
set_property(GLOBAL PROPERTY TEST_APP_CHECKOUT "${checkout}")

function(test_app_target result)
    set(target linux)
    if(PIENN_SIMULATOR)
        set(target "${PIENN_SIMULATOR}")
    elseif(ESP_PLATFORM)
        set(target "${CONFIG_IDF_TARGET}")
    endif()
    set("${result}" "${target}" PARENT_SCOPE)
endfunction()

function(test_app_python result)
    get_property(checkout GLOBAL PROPERTY TEST_APP_CHECKOUT)
    set(python python3)
    if(PIENN_PYTHON)
        set(python "${PIENN_PYTHON}")
    elseif(DEFINED ENV{PIENN_PYTHON})
        set(python "$ENV{PIENN_PYTHON}")
    elseif(EXISTS "${checkout}/.venv/bin/python")
        set(python "${checkout}/.venv/bin/python")
    endif()
    set("${result}" "${python}" PARENT_SCOPE)
endfunction()

function(add_test_app name)
    get_property(checkout GLOBAL PROPERTY TEST_APP_CHECKOUT)
    add_subdirectory("${checkout}" pienn EXCLUDE_FROM_ALL)
    set(unity "${checkout}/test_apps/unity")
    if(NOT PIENN_SIMULATOR)
        add_executable("${name}")
    else()
        add_library("${name}" OBJECT EXCLUDE_FROM_ALL) # only a list: the simulator's tools compile its sources
    endif()
    target_sources("${name}" PRIVATE "${unity}/unity.c" "${unity}/main.c")
    target_include_directories("${name}" PRIVATE "${unity}")
    target_link_libraries("${name}" PRIVATE pienn::pienn)
    if(PIENN_SIMULATOR)
        _simulated_program("${name}" "${checkout}")
    endif()
endfunction()

# <name>.elf of the sources that target `name` has in the end, the component's, and the chip's kernels.
function(_simulated_program name checkout)
    if(NOT PIENN_SIMULATOR MATCHES "^esp32(p4|s3)$")
        message(FATAL_ERROR " PIENN_SIMULATOR is esp32p4 or esp32s3, not ${PIENN_SIMULATOR}")
    endif()
    set(PIENN_REVISION 3 CACHE STRING "of the simulated ESP32-P4: 1 or 3")
    string(TOUPPER "PIENN_TARGET_${CMAKE_MATCH_1}" target_macro)
    test_app_python(python)
    file(GLOB component CONFIGURE_DEPENDS "${checkout}/src_ref/*.c" "${checkout}/src_asm/${PIENN_SIMULATOR}/*.S"
         "${checkout}/component/runtime/*.c")
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${checkout}/include/*" "${checkout}/src_asm/*.inc"
         "${checkout}/src_asm/*.h" "${checkout}/generator/pienn/sim/*.py" "${checkout}/generator/pienn/sim/runtime/*")
    list(APPEND component "${checkout}/component/port/bare.c")
    set(all "$<TARGET_PROPERTY:${name},SOURCES>") # headers that are made, too, and rules of CMake's own
    set(sources "$<FILTER:${all},INCLUDE,[.][cS]$>")
    set(folders "$<TARGET_PROPERTY:${name},INCLUDE_DIRECTORIES>")
    set(macros "$<TARGET_PROPERTY:${name},COMPILE_DEFINITIONS>")
    set(program "${CMAKE_CURRENT_BINARY_DIR}/${name}.elf")
    add_custom_command(
        OUTPUT "${program}"
        COMMAND "${CMAKE_COMMAND}" -E env "PYTHONPATH=${checkout}/generator" "${python}" -m pienn sim build "${sources}"
                ${component} -o "${program}" --target "${PIENN_SIMULATOR}" --revision
                "${PIENN_REVISION}" -O 1
                "-I$<JOIN:${folders},;-I>" -I "${checkout}/include" -I "${checkout}/component/runtime"
                -I "${checkout}/component/port" -D "${target_macro}" "$<$<BOOL:${macros}>:-D$<JOIN:${macros},;-D>>"
        DEPENDS "$<FILTER:${all},INCLUDE,[.][cSh]$>" ${component} ${headers}
        COMMENT "PIE-NN: building ${name}.elf for the simulated ${PIENN_SIMULATOR}"
        COMMAND_EXPAND_LISTS VERBATIM)
    add_custom_target("${name}_elf" ALL DEPENDS "${program}")
endfunction()

cmake_policy(POP)
