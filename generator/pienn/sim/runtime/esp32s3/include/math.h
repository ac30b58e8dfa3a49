#ifndef _MATH_H
#define _MATH_H
#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))
float sqrtf(float value);
float fabsf(float value);
double fabs(double value);
#endif
