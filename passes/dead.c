/* Removes what no output needs, in subgraphs too. Breaks: nothing. */
#include "pass.h"

void pass_dead(TgPass *p)
{
    if (p->g->outer == NULL) /* walks into subgraphs by itself */
        tg_remove_dead(p->g);
}
