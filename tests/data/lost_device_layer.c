// A Vulkan layer for tests: the driver's device is lost from the moment on at which the file named in the
// environment variable LOSE_DEVICE_WHEN exists. It stands between the loader and any driver, so that a
// program meets what a GPU that falls off the bus does, and needs to know nothing of it.
//
// Declarations follow the Vulkan specification and the loader's layer interface, version 2; only what is
// used is declared, so that no header has to be installed.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *, const char *);
typedef struct Link {
    struct Link *next;
    GetProcAddr get_instance_proc_addr;
    // Of a device the device's, of an instance the physical device's.
    GetProcAddr get_other_proc_addr;
} Link;
typedef struct Chained {
    int type;
    const struct Chained *next;
    int function;
    Link *link;
} Chained;
typedef struct {
    int type;
    void *next;
    uint32_t version;
    GetProcAddr get_instance_proc_addr;
    GetProcAddr get_device_proc_addr;
    GetProcAddr get_physical_device_proc_addr;
} Negotiation;

enum { LOADER_INSTANCE = 47, LOADER_DEVICE = 48, LINK_INFO = 0, FAILED = -3, DEVICE_LOST = -4 };

// A test opens one instance and one device.
static GetProcAddr next_of_instance;
static GetProcAddr next_of_device;
static int (*next_queue_submit)(void *, uint32_t, const void *, uint64_t);

// Takes this layer's link off the chain.
static Link *take_link(const Chained *info, int type) {
    for (Chained *chained = (Chained *)info->next; chained; chained = (Chained *)chained->next) {
        if (chained->type == type && chained->function == LINK_INFO) {
            Link *link = chained->link;
            chained->link = link->next;
            return link;
        }
    }
    return NULL;
}

static int create_instance(const Chained *info, const void *allocator, void **instance) {
    Link *link = take_link(info, LOADER_INSTANCE);
    if (!link) return FAILED;
    next_of_instance = link->get_instance_proc_addr;
    int (*create)(const Chained *, const void *, void **) =
        (int (*)(const Chained *, const void *, void **))next_of_instance(NULL, "vkCreateInstance");
    return create ? create(info, allocator, instance) : FAILED;
}

static int create_device(void *physical, const Chained *info, const void *allocator, void **device) {
    Link *link = take_link(info, LOADER_DEVICE);
    if (!link) return FAILED;
    next_of_device = link->get_other_proc_addr;
    int (*create)(void *, const Chained *, const void *, void **) =
        (int (*)(void *, const Chained *, const void *, void **))link->get_instance_proc_addr(NULL, "vkCreateDevice");
    int result = create ? create(physical, info, allocator, device) : FAILED;
    if (result == 0) {
        next_queue_submit =
            (int (*)(void *, uint32_t, const void *, uint64_t))next_of_device(*device, "vkQueueSubmit");
    }
    return result;
}

static int queue_submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
    const char *when = getenv("LOSE_DEVICE_WHEN");
    if (when && access(when, F_OK) == 0) return DEVICE_LOST;
    return next_queue_submit(queue, count, submits, fence);
}

static Function device_function(void *device, const char *name) {
    if (strcmp(name, "vkQueueSubmit") == 0) return (Function)queue_submit;
    return next_of_device ? next_of_device(device, name) : NULL;
}

static Function instance_function(void *instance, const char *name) {
    if (strcmp(name, "vkCreateInstance") == 0) return (Function)create_instance;
    if (strcmp(name, "vkCreateDevice") == 0) return (Function)create_device;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)device_function;
    if (strcmp(name, "vkQueueSubmit") == 0) return (Function)queue_submit;
    return next_of_instance ? next_of_instance(instance, name) : NULL;
}

int vkNegotiateLoaderLayerInterfaceVersion(Negotiation *negotiation) {
    if (negotiation->version < 2) return FAILED;
    negotiation->version = 2;
    negotiation->get_instance_proc_addr = instance_function;
    negotiation->get_device_proc_addr = device_function;
    negotiation->get_physical_device_proc_addr = NULL;
    return 0;
}
