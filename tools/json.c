/* A small JSON writer: values in order, indented by two blanks. */
#include <math.h>
#include <string.h>

#include "tool.h"

void json_begin(Json *j, TgArena *arena)
{
    *j = (Json){.first = true};
    tg_text_init(&j->text, arena);
}

/* Comma, line break and indentation before whatever comes next. */
static void next(Json *j)
{
    if (!j->first && !j->keyed)
        tg_text_add(&j->text, ",");
    if (j->depth && !j->keyed)
        tg_text_format(&j->text, "\n%*s", (int)(2 * j->depth), "");
    j->first = j->keyed = false;
}

void json_open(Json *j, char bracket)
{
    next(j);
    tg_text_add_n(&j->text, &bracket, 1);
    j->depth++;
    j->first = true;
}

void json_close(Json *j, char bracket)
{
    j->depth--;
    if (!j->first)
        tg_text_format(&j->text, "\n%*s", (int)(2 * j->depth), "");
    tg_text_add_n(&j->text, &bracket, 1);
    j->first = false;
}

static void quoted(Json *j, const char *s)
{
    tg_text_json(&j->text, s, strlen(s));
}

void json_key(Json *j, const char *key)
{
    next(j);
    quoted(j, key);
    tg_text_add(&j->text, ": ");
    j->keyed = true;
}

void json_string(Json *j, const char *s)
{
    next(j);
    if (s)
        quoted(j, s);
    else
        tg_text_add(&j->text, "null");
}

void json_int(Json *j, int64_t n)
{
    next(j);
    tg_text_format(&j->text, "%lld", (long long)n);
}

void json_number(Json *j, double x)
{
    next(j);
    if (isfinite(x))
        tg_text_float(&j->text, x, false);
    else
        tg_text_add(&j->text, "null");
}

void json_bool(Json *j, bool b)
{
    next(j);
    tg_text_add(&j->text, b ? "true" : "false");
}

void json_string_at(Json *j, const char *key, const char *s)
{
    json_key(j, key);
    json_string(j, s);
}

void json_int_at(Json *j, const char *key, int64_t n)
{
    json_key(j, key);
    json_int(j, n);
}

void json_number_at(Json *j, const char *key, double x)
{
    json_key(j, key);
    json_number(j, x);
}

void json_end(Json *j)
{
    tg_text_add(&j->text, "\n");
}
