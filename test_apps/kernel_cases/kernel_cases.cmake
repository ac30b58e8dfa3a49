# add_kernel_cases(<target> [<option of make_cases.py>...]): calls of kernels as Unity cases, made at build time.
include_guard(GLOBAL)
include("${CMAKE_CURRENT_LIST_DIR}/../test_app.cmake")
cmake_policy(PUSH)
cmake_policy(VERSION 3.20...3.25)
set_property(GLOBAL PROPERTY KERNEL_CASES_FOLDER "${CMAKE_CURRENT_LIST_DIR}")

function(add_kernel_cases target)
    get_property(folder GLOBAL PROPERTY KERNEL_CASES_FOLDER)
    test_app_target(chip)
    test_app_python(python)
    set(cases "${CMAKE_CURRENT_BINARY_DIR}/kernel_cases.c")
    add_custom_command(
        OUTPUT "${cases}"
        COMMAND "${python}" "${folder}/make_cases.py" --target "${chip}" --output "${cases}" --depfile "${cases}.d" ${ARGN}
        DEPENDS "${folder}/make_cases.py"
        DEPFILE "${cases}.d"
        COMMENT "PIE-NN: making calls of kernels for ${chip}"
        VERBATIM)
    target_sources("${target}" PRIVATE "${cases}" "${folder}/kernel_case.c")
    target_include_directories("${target}" PRIVATE "${folder}")
    if("--bench" IN_LIST ARGN)
        target_compile_definitions("${target}" PRIVATE KERNEL_MEMORY=163840)
    endif()
endfunction()

cmake_policy(POP)
