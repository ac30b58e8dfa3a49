# target_add_model: a model file becomes C that is compiled into a target.
#
#   target_add_model(<target> <model>            after add_executable, add_library or idf_component_register
#       [NAME <name>]                            prefix of the C names and files [the file's stem]
#       [BACKEND AUTO|REF|PIE]                   reference C, or the chip's assembly [AUTO: what the component is built with]
#       [INPUT_SHAPE <size>...]                  of one input, as torch has it, without batch axis; several: 1x28x28 3
#       [SRAM <size>]                            SRAM for arena and constants together, like 256K: see `pienn compile`
#       [ARENA STATIC|CALLER]                    whether <name>_run brings its own arena [STATIC]
#       [VERIFY]                                 compare interpreter and C on random inputs, and the chip's assembly in the
#                                                simulator, in every build that regenerates
#       [OPTIONS <argument>...]                  more arguments of `pienn compile`
#       [FACTORY <module:function>]              for a .pt state dict: the function that builds the torch module
#       [CALIBRATION <file>]                     for a float .pt or .pt2: inputs to calibrate with (.npz)
#       [QUANTISE <argument>...]                 for a .pt or .pt2: more arguments of `pienn export`
#       [DEPENDS <file>...]                      more files that the model is made from
#       [PYTHON <interpreter>]                   [-DPIENN_PYTHON=, the environment's PIENN_PYTHON, the component's own
#                                                .venv, ESP-IDF's, or the one that CMake finds]
#       [OUT_DIR <variable>])                    gets the folder of the generated files
#
# The target <name>-report writes a web page about the model. A .pie needs Python with the generator's few dependencies, a
# .pt or .pt2 torch as well: it is quantised once, and found in a cache (quantise_cached.py) by every later build of the same
# files. Relative paths start at the caller's folder. -DPIENN_VERBOSE=ON shows the generator's output while it runs.
include_guard(GLOBAL)

# Functions run under the policies that are in force here: among them CMP0116, without which Ninja regenerates at
# every build of a project whose cmake_minimum_required is older than 3.20.
cmake_policy(PUSH)
cmake_policy(VERSION 3.16...3.25)

get_filename_component(_pienn_root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set_property(GLOBAL PROPERTY PIENN_ROOT "${_pienn_root}")
unset(_pienn_root)

function(target_add_model target model)
    set(one NAME BACKEND SRAM ARENA FACTORY CALIBRATION PYTHON OUT_DIR)
    cmake_parse_arguments(PARSE_ARGV 2 arg "VERIFY" "${one}" "INPUT_SHAPE;OPTIONS;QUANTISE;DEPENDS")
    get_property(root GLOBAL PROPERTY PIENN_ROOT)
    get_property(library GLOBAL PROPERTY PIENN_LIBRARY)
    _pienn_caller(place "${target}" "${model}" ${ARGN})

    if(CMAKE_VERSION VERSION_LESS 3.20)
        _pienn_stop("${place}" "target_add_model needs CMake 3.20, this is ${CMAKE_VERSION}")
    endif()
    if(arg_UNPARSED_ARGUMENTS)
        _pienn_stop("${place}" "target_add_model does not know '${arg_UNPARSED_ARGUMENTS}'")
    endif()
    if(arg_KEYWORDS_MISSING_VALUES)
        _pienn_stop("${place}" "target_add_model: ${arg_KEYWORDS_MISSING_VALUES} has no value")
    endif()
    if(NOT TARGET "${target}")
        _pienn_stop("${place}" "there is no target ${target} yet: call target_add_model after it is made (in ESP-IDF \
after idf_component_register, for \${COMPONENT_LIB})")
    endif()
    get_target_property(kind "${target}" TYPE)
    if(kind STREQUAL "INTERFACE_LIBRARY" OR kind STREQUAL "UTILITY")
        _pienn_stop("${place}" "target ${target} compiles nothing: add the model to one with sources")
    endif()

    get_filename_component(model "${model}" ABSOLUTE)
    get_filename_component(extension "${model}" LAST_EXT)
    get_filename_component(model_file "${model}" NAME)
    if(NOT extension MATCHES "^\\.(pie|pt|pt2)$")
        _pienn_stop("${place}" "${model}: a model is a .pie, .pt2 or .pt file")
    endif()
    _pienn_file("${place}" "${model}" "no such model file: make it with `pienn export`, or correct its path, which \
starts at ${CMAKE_CURRENT_SOURCE_DIR}")
    _pienn_name(name "${place}" "${target}" "${model}" "${arg_NAME}")

    # Arguments: of `pienn export` for what torch reads, and of `pienn compile`
    set(side_files "")
    foreach(file IN LISTS arg_DEPENDS)
        get_filename_component(file "${file}" ABSOLUTE)
        list(APPEND side_files "${file}")
    endforeach()
    set(depends "${model}" ${side_files} "${root}/component/cmake/run_pienn.py")
    set(shape_options "")
    if(arg_INPUT_SHAPE)
        string(REPLACE ";" " " shapes "${arg_INPUT_SHAPE}")
        if(NOT shapes MATCHES "x")
            string(REPLACE " " "x" shapes "${shapes}")
        endif()
        if(NOT shapes MATCHES "^[1-9][0-9]*([ x][1-9][0-9]*)*$")
            _pienn_stop("${place}" "INPUT_SHAPE is made of sizes, such as 1 28 28, or 1x28x28 3 for two inputs; not \
${arg_INPUT_SHAPE}")
        endif()
        string(REPLACE " " ";" shapes "${shapes}")
        foreach(shape IN LISTS shapes)
            list(APPEND shape_options --input-shape "${shape}")
        endforeach()
    endif()
    set(needs_torch "")
    set(quantise "")
    if(extension STREQUAL ".pie")
        foreach(keyword IN ITEMS FACTORY CALIBRATION QUANTISE)
            if(arg_${keyword})
                _pienn_stop("${place}" "${model_file} is quantised already: ${keyword} is for .pt and .pt2 files")
            endif()
        endforeach()
    else()
        set(needs_torch "--torch")
        if(arg_FACTORY)
            list(APPEND quantise --factory "${arg_FACTORY}")
        elseif(extension STREQUAL ".pt")
            _pienn_stop("${place}" "${model_file} holds weights only: name the function that builds the module with \
FACTORY module:function")
        endif()
        if(arg_CALIBRATION)
            get_filename_component(calibration "${arg_CALIBRATION}" ABSOLUTE)
            _pienn_file("${place}" "${calibration}" "no such file of calibration inputs")
            list(APPEND quantise --calibration "${calibration}")
            list(APPEND depends "${calibration}")
        endif()
        list(APPEND quantise ${shape_options} ${arg_QUANTISE})
        set(shape_options "")
    endif()
    set(options ${shape_options} ${arg_OPTIONS})
    if(arg_SRAM)
        if(NOT arg_SRAM MATCHES "^[1-9][0-9]*[KM]?$")
            _pienn_stop("${place}" "SRAM is a size like 262144, 256K or 1M, not ${arg_SRAM}")
        endif()
        list(APPEND options --sram "${arg_SRAM}")
    endif()
    string(TOLOWER "${arg_ARENA}" arena)
    if(arena MATCHES "^(static|caller)$")
        list(APPEND options --arena "${arena}")
    elseif(arg_ARENA)
        _pienn_stop("${place}" "ARENA is STATIC or CALLER, not ${arg_ARENA}")
    endif()
    _pienn_backend(backend_options chip "${place}" "${arg_BACKEND}")
    _pienn_interpreter(python "${place}" "${arg_PYTHON}" "${needs_torch}")

    # Where the call stands is told through a file that nothing depends on: a call that moves regenerates nothing. The
    # arguments stand in one that the commands depend on: Makefiles do not notice a command that has changed. Both lie
    # outside the folder that `clean` removes.
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/pienn/${target}/${name}")
    set(stage "${folder}/stage")
    file(CONFIGURE OUTPUT "${folder}.place" CONTENT "${place}\n" @ONLY)
    file(CONFIGURE OUTPUT "${folder}.arguments" CONTENT "${python}\n${quantise}\n${backend_options};${options}\n" @ONLY)
    set(scripts "${root}/component/cmake")
    set(runner "${python}" "${scripts}/run_pienn.py" "${folder}.place")
    set(prepare COMMAND "${CMAKE_COMMAND}" -E make_directory "${stage}")
    set(terminal "")
    if(PIENN_VERBOSE)
        set(terminal USES_TERMINAL)
    endif()
    set(graph "${model}")
    if(needs_torch)
        set(graph "${stage}/${name}.pie")
        add_custom_command(
            OUTPUT "${graph}"
            ${prepare}
            COMMAND "${python}" "${scripts}/quantise_cached.py" "${folder}.place" "${graph}" "${graph}.d" "${side_files}"
                    "${model}" ${quantise}
            DEPENDS ${depends} "${scripts}/quantise_cached.py" "${folder}.arguments"
            DEPFILE "${graph}.d"
            WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
            COMMENT "PIE-NN: quantising ${model_file}"
            ${terminal} VERBATIM)
        set(depends "${graph}")
    endif()

    # Two steps: the generator always writes into the stage, and only what differs is copied, so that a model that was
    # touched but not changed compiles nothing again. The stamp keeps Makefiles, which know no "unchanged", from copying
    # at every build.
    set(files "${name}.c" "${name}.h" "${name}_weights.c" "${name}_weights.h")
    set(staged "")
    set(generated "")
    foreach(file IN LISTS files)
        list(APPEND staged "${stage}/${file}")
        list(APPEND generated "${folder}/${file}")
    endforeach()
    add_custom_command(
        OUTPUT "${stage}/${name}.c"
        BYPRODUCTS "${stage}/${name}.h" "${stage}/${name}_weights.c" "${stage}/${name}_weights.h"
        ${prepare}
        COMMAND ${runner} compile "${graph}" --name "${name}" -o "${stage}" --depfile "${stage}/${name}.d"
                ${backend_options} ${options}
        DEPENDS ${depends} "${folder}.arguments"
        DEPFILE "${stage}/${name}.d"
        WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
        COMMENT "PIE-NN: compiling ${model_file} to ${name}.c"
        ${terminal} VERBATIM)
    set(stamp "${folder}/${name}.stamp")
    add_custom_command(
        OUTPUT "${stamp}"
        BYPRODUCTS ${generated}
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different ${staged} "${folder}"
        COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
        DEPENDS "${stage}/${name}.c"
        COMMENT "PIE-NN: updating ${name}.c where it has changed"
        VERBATIM)
    set(products "${stamp}")
    if(arg_VERIFY)
        set(simulated "")
        if(chip)
            set(simulated --target "${chip}")
        endif()
        add_custom_command(
            OUTPUT "${folder}/${name}.verified"
            COMMAND ${runner} verify "${graph}" --random 8 ${simulated}
            COMMAND "${CMAKE_COMMAND}" -E touch "${folder}/${name}.verified"
            DEPENDS "${stamp}"
            COMMENT "PIE-NN: verifying ${model_file}"
            ${terminal} VERBATIM)
        list(APPEND products "${folder}/${name}.verified")
    endif()
    # The headers must be there before the target's own sources are compiled.
    add_custom_target("pienn-${target}-${name}" DEPENDS ${products})
    add_dependencies("${target}" "pienn-${target}-${name}")
    set_source_files_properties(${generated} PROPERTIES GENERATED TRUE)
    target_sources("${target}" PRIVATE "${folder}/${name}.c" "${folder}/${name}_weights.c")
    target_include_directories("${target}" PRIVATE "${folder}")
    target_link_libraries("${target}" PRIVATE "${library}")
    set_property(DIRECTORY APPEND PROPERTY ADDITIONAL_CLEAN_FILES "${folder}")

    set(page "${CMAKE_BINARY_DIR}/${name}-report.html")
    set(report "${name}-report")
    if(TARGET "${report}") # the model is in another target too
        set(report "${target}-${name}-report")
        set(page "${CMAKE_BINARY_DIR}/${report}.html")
    endif()
    if(NOT chip)
        set(chip host)
    endif()
    add_custom_target("${report}"
        COMMAND ${runner} report "${graph}" --target "${chip}" -o "${page}"
        DEPENDS ${graph}
        COMMENT "PIE-NN: writing a report about ${model_file}"
        VERBATIM)
    if(arg_OUT_DIR)
        set("${arg_OUT_DIR}" "${folder}" PARENT_SCOPE)
    endif()
endfunction()

# Stops where a file is neither there nor made by the build.
function(_pienn_file place file text)
    get_source_file_property(generated "${file}" GENERATED)
    if(NOT EXISTS "${file}" AND NOT generated)
        _pienn_stop("${place}" "${file}: ${text}")
    endif()
endfunction()

# The model's name in C: the one asked for, or the stem of its file; stops where it is no name, or taken.
function(_pienn_name result place target model asked)
    set(name "${asked}")
    if(NOT name)
        get_filename_component(name "${model}" NAME_WLE)
        string(MAKE_C_IDENTIFIER "${name}" name)
    endif()
    if(NOT name MATCHES "^[A-Za-z][A-Za-z0-9_]*$")
        _pienn_stop("${place}" "'${name}' cannot begin names in C: give another with NAME")
    endif()
    get_target_property(names "${target}" PIENN_MODELS)
    if(name IN_LIST names)
        _pienn_stop("${place}" "target ${target} has a model ${name} already: give another name with NAME")
    endif()
    set_property(TARGET "${target}" APPEND PROPERTY PIENN_MODELS "${name}")
    # The components of a firmware are linked into one program, in which the first of two functions of one name wins.
    get_property(other GLOBAL PROPERTY "PIENN_MODEL_${name}")
    if(ESP_PLATFORM AND other AND NOT other STREQUAL model)
        _pienn_stop("${place}" "${other} is called ${name} already: give another name with NAME")
    endif()
    set_property(GLOBAL PROPERTY "PIENN_MODEL_${name}" "${model}")
    set("${result}" "${name}" PARENT_SCOPE)
endfunction()

# Arguments of `pienn compile` for the backend that a call asks for; the chip whose assembly it gets, or nothing.
function(_pienn_backend result chip_result place backend)
    set(chip "") # esp32p4 or esp32s3 where the component is built with its assembly
    if(ESP_PLATFORM AND (CONFIG_PIENN_BACKEND_PIE OR CONFIG_PIENN_BACKEND_SHADOW) AND CONFIG_IDF_TARGET MATCHES "^esp32(p4|s3)$")
        set(chip "${CONFIG_IDF_TARGET}")
    endif()
    if(NOT backend)
        set(backend AUTO)
    endif()
    if(NOT backend MATCHES "^(AUTO|REF|PIE)$")
        _pienn_stop("${place}" "BACKEND is AUTO, REF or PIE, not ${backend}")
    endif()
    if(backend STREQUAL "PIE" AND NOT chip)
        _pienn_stop("${place}" "BACKEND PIE: the component is built with the reference layers; choose PIE assembly in \
menuconfig under PIE-NN (esp32p4, esp32s3), or BACKEND AUTO")
    endif()
    if(NOT chip)
        set(options --target host)
    elseif(backend STREQUAL "REF")
        set(options --target "${chip}" --no-simd)
        set(chip "")
    else()
        set(options --target "${chip}" --simd)
        if(CONFIG_PIENN_BACKEND_SHADOW)
            list(APPEND options --shadow)
        endif()
    endif()
    if(chip AND NOT CONFIG_PIENN_WEIGHT_STAGING)
        list(APPEND options --no-staging)
    endif()
    set("${result}" "${options}" PARENT_SCOPE)
    set("${chip_result}" "${chip}" PARENT_SCOPE)
endfunction()

# The interpreter that runs the generator; stops where it cannot.
function(_pienn_interpreter result place asked needs_torch)
    get_property(root GLOBAL PROPERTY PIENN_ROOT)
    if(asked)
        set(python "${asked}")
    elseif(PIENN_PYTHON)
        set(python "${PIENN_PYTHON}")
    elseif(DEFINED ENV{PIENN_PYTHON})
        set(python "$ENV{PIENN_PYTHON}")
    elseif(EXISTS "${root}/.venv/bin/python")
        set(python "${root}/.venv/bin/python")
    elseif(ESP_PLATFORM)
        idf_build_get_property(python PYTHON)
    else()
        find_package(Python3 COMPONENTS Interpreter QUIET)
        if(NOT Python3_Interpreter_FOUND)
            _pienn_stop("${place}" "no Python 3 found: name one with -DPIENN_PYTHON=")
        endif()
        set(python "${Python3_EXECUTABLE}")
    endif()
    get_property(checked GLOBAL PROPERTY PIENN_CHECKED_INTERPRETERS)
    if(NOT "${python}${needs_torch}" IN_LIST checked)
        execute_process(
            COMMAND "${python}" "${root}/component/cmake/check_interpreter.py" ${needs_torch}
            RESULT_VARIABLE status ERROR_VARIABLE message OUTPUT_QUIET ERROR_STRIP_TRAILING_WHITESPACE)
        if(NOT status EQUAL 0)
            if(NOT message)
                set(message "${python}: cannot be run (${status}); name an interpreter with PYTHON or -DPIENN_PYTHON=")
            endif()
            _pienn_stop("${place}" "${message}")
        endif()
        set_property(GLOBAL APPEND PROPERTY PIENN_CHECKED_INTERPRETERS "${python}${needs_torch}")
    endif()
    set("${result}" "${python}" PARENT_SCOPE)
endfunction()

# file:line of the call, for errors while building. CMake does not tell a function where it was called: the line is that
# of the call in the caller's file that has the most of the arguments in it, the model's file above all.
function(_pienn_caller result target model)
    file(READ "${CMAKE_CURRENT_LIST_FILE}" text)
    get_filename_component(model_file "${model}" NAME)
    set(model_words "")
    foreach(argument IN ITEMS "${target}" ${ARGN}) # the model outweighs them all
        list(APPEND model_words "${model_file}")
    endforeach()
    set(line 1)
    set(best_line 1)
    set(best -1)
    string(FIND "${text}" "target_add_model" at)
    while(NOT at EQUAL -1)
        string(SUBSTRING "${text}" 0 ${at} before)
        string(REGEX REPLACE "[^\n]" "" before "${before}")
        string(LENGTH "${before}" lines)
        math(EXPR line "${line} + ${lines}")
        string(SUBSTRING "${text}" ${at} -1 text)
        string(FIND "${text}" ")" end)
        string(SUBSTRING "${text}" 0 ${end} call)
        set(score 0)
        foreach(word IN ITEMS ${model_words} "${target}" ${ARGN})
            string(FIND "${call}" "${word}" found)
            if(NOT found EQUAL -1)
                math(EXPR score "${score} + 1")
            endif()
        endforeach()
        if(score GREATER best)
            set(best ${score})
            set(best_line ${line})
        endif()
        string(SUBSTRING "${text}" 1 -1 text)
        string(FIND "${text}" "target_add_model" at)
    endwhile()
    set("${result}" "${CMAKE_CURRENT_LIST_FILE}:${best_line}" PARENT_SCOPE)
endfunction()

# The leading space keeps CMake from breaking the line.
function(_pienn_stop place text)
    message(FATAL_ERROR " ${place}: error: ${text}")
endfunction()

cmake_policy(POP)
