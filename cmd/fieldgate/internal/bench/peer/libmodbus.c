/* The libmodbus side of `fieldgate bench bus`: polls holding registers as fast
 * as it can and prints one JSON object, as `fieldgate bench master` does.
 *
 *   gcc -O2 -o libmodbus-master libmodbus.c $(pkg-config --cflags --libs libmodbus)
 *   libmodbus-master rtu PATH BAUD QUANTITY SECONDS
 *   libmodbus-master tcp HOST PORT QUANTITY SECONDS
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Register i holds i + 1000: a poll that reads anything else is no poll. */
static int poll_once(modbus_t *m, int quantity)
{
    uint16_t values[MODBUS_MAX_READ_REGISTERS];
    if (modbus_read_registers(m, 0, quantity, values) != quantity)
        return 0;
    for (int i = 0; i < quantity; i++)
        if (values[i] != i + 1000)
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: libmodbus-master rtu PATH BAUD QUANTITY SECONDS | tcp HOST PORT QUANTITY SECONDS\n");
        return 2;
    }
    int quantity = atoi(argv[4]);
    double seconds = atof(argv[5]);
    modbus_t *m = strcmp(argv[1], "tcp") ? modbus_new_rtu(argv[2], atoi(argv[3]), 'N', 8, 1) : modbus_new_tcp(argv[2], atoi(argv[3]));
    if (m == NULL || quantity < 1 || quantity > MODBUS_MAX_READ_REGISTERS || modbus_set_slave(m, 1) < 0 ||
        modbus_set_response_timeout(m, 5, 0) < 0 || modbus_connect(m) < 0) {
        fprintf(stderr, "libmodbus-master: %s\n", modbus_strerror(errno));
        return 1;
    }
    if (!poll_once(m, quantity)) {
        fprintf(stderr, "libmodbus-master: first poll: %s\n", modbus_strerror(errno));
        return 1;
    }
    long polls = 0, failed = 0;
    double began = now(), used = cpu(), end = began;
    while (end - began < seconds) {
        if (poll_once(m, quantity))
            polls++;
        else
            failed++;
        end = now();
    }
    printf("{\"polls\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"cpu_s\":%.6f}\n", polls, failed, end - began, cpu() - used);
    modbus_close(m);
    modbus_free(m);
    return 0;
}
