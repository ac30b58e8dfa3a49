# add_tested_model(<target> <name> <model or "">): a network and its expected outputs, <name>_vectors.h; where no graph file is
# given, the network of that name of make_models.py.
include_guard(GLOBAL)
include("${CMAKE_CURRENT_LIST_DIR}/../test_app.cmake")
cmake_policy(PUSH)
cmake_policy(VERSION 3.20...3.25)
set_property(GLOBAL PROPERTY TESTED_MODELS_FOLDER "${CMAKE_CURRENT_LIST_DIR}")

function(add_tested_model target name model)
    get_property(folder GLOBAL PROPERTY TESTED_MODELS_FOLDER)
    test_app_python(python)
    if(NOT model)
        set(model "${CMAKE_CURRENT_BINARY_DIR}/${name}.pie")
        add_custom_command(
            OUTPUT "${model}"
            COMMAND "${python}" "${folder}/make_models.py" write "${name}" "${model}" --depfile "${model}.d"
            DEPENDS "${folder}/make_models.py"
            DEPFILE "${model}.d"
            COMMENT "PIE-NN: making ${name}.pie"
            VERBATIM)
        set_source_files_properties("${model}" PROPERTIES GENERATED TRUE)
    endif()
    set(vectors "${CMAKE_CURRENT_BINARY_DIR}/vectors/${name}_vectors.h")
    add_custom_command(
        OUTPUT "${vectors}"
        COMMAND "${python}" "${folder}/make_models.py" vectors "${model}" "${vectors}" --name "${name}" --depfile
                "${vectors}.d"
        DEPENDS "${folder}/make_models.py" "${model}"
        DEPFILE "${vectors}.d"
        COMMENT "PIE-NN: computing what ${name} gives"
        VERBATIM)
    target_sources("${target}" PRIVATE "${vectors}")
    target_include_directories("${target}" PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/vectors")
    set(options "")
    if(PIENN_SIMULATOR)
        set(options OPTIONS --target "${PIENN_SIMULATOR}" --simd)
    endif()
    target_add_model("${target}" "${model}" NAME "${name}" ARENA CALLER PYTHON "${python}" ${options})
    if(PIENN_SIMULATOR)
        add_dependencies("${target}_elf" "pienn-${target}-${name}") # Makefiles know no rule for its single files
    endif()
endfunction()

cmake_policy(POP)
