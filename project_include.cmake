# ESP-IDF reads this for every project that has the component. Under which name the component runs, `pienn` or
# `<namespace>__pienn`, is known only here.
include("${CMAKE_CURRENT_LIST_DIR}/component/cmake/target_add_model.cmake")
set_property(GLOBAL PROPERTY PIENN_LIBRARY "idf::${COMPONENT_NAME}")
