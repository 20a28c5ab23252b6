#include "pass.h"
void pass_rotary(TgPass *p) { (void)p; }
