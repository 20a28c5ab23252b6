# Turns sources into a C array, so that the command needs no data files:
#   cmake -D OUT=builtin.c -D FILES="a.c;b.h" -P embed.cmake
# String literals have a limit of 4095 bytes in C11, so bytes are written as numbers.
set(text "/* Made by backend_c/embed.cmake. */\n#include \"backend_c/kernels.h\"\n\n")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" n)
  math(EXPR n "${n} / 2")
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND text "static const unsigned char file_${number}[] = {\n${hex}0\n};\n\n")
  string(APPEND table "    {\"${name}\", (const char *)file_${number}, ${n}},\n")
  math(EXPR number "${number} + 1")
endforeach()
string(APPEND text "const BuiltinSource builtin_kernels[] = {\n${table}    {0, 0, 0},\n};\n")
file(WRITE ${OUT} "${text}")
