// A till that answers with gSOAP: it reads each request by the vendor's schema, asks the simulator by the same schema,
// and writes the answer anew. Both readings are strict, so an element that is missing, unknown or out of its order is a
// fault and a line on stderr. Arguments: port, address of the simulator, file of the WSDL to serve.
#include "soapH.h"
#include "MplusQapi.nsmap"

#include <pthread.h>
#include <string>

static std::string upstream, contract;

static int fail(struct soap *served, struct soap *asked, const char *operation) {
    soap_set_fault(asked);
    const char **text = (const char **)soap_faultstring(asked), **code = (const char **)soap_faultcode(asked);
    const std::string reason = text && *text ? *text : "no reason", whose = code && *code ? *code : "";
    if (asked->error != SOAP_FAULT && asked->error != SOAP_CLI_FAULT && asked->error != SOAP_SVR_FAULT)
        fprintf(stderr, "the answer to %s is not as the schema has it: %s\n", operation, reason.c_str());
    const char *kept = soap_strdup(served, reason.c_str());
    soap_destroy(asked);
    soap_end(asked);
    soap_free(asked);
    served->user = served;  // this fault is the simulator's: no complaint about the request
    const bool ours = whose.find("Client") != std::string::npos;
    return ours ? soap_sender_fault(served, kept, NULL) : soap_receiver_fault(served, kept, NULL);
}

// One function for each operation: written by `building.py` from the declarations that soapcpp2 makes.
#define PASS_ON(operation, Request, Answer)                                                                            \
    int __ns__##operation(struct soap *served, Request *request, Answer &answer) {                                     \
        struct soap *asked = soap_new1(SOAP_C_UTFSTRING | SOAP_XML_STRICT);                                            \
        soap_set_namespaces(asked, namespaces);                                                                        \
        const std::string address = upstream + served->path;                                                           \
        if (soap_call___ns__##operation(asked, address.c_str(), "", request, answer))                                  \
            return fail(served, asked, #operation);                                                                    \
        soap_delegate_deletion(asked, served);                                                                         \
        soap_end(asked);                                                                                               \
        soap_free(asked);                                                                                              \
        return SOAP_OK;                                                                                                \
    }
#include "operations.inc"

static int answer_get(struct soap *served) {
    FILE *file = strstr(served->path, "wsdl") ? fopen(contract.c_str(), "rb") : NULL;
    if (!file)
        return 405;
    served->http_content = "text/xml; charset=utf-8";
    soap_response(served, SOAP_FILE);
    char block[65536];
    for (size_t read; (read = fread(block, 1, sizeof block, file)) > 0;)
        soap_send_raw(served, block, read);
    fclose(file);
    return soap_end_send(served);
}

static void *serve(void *given) {
    struct soap *served = (struct soap *)given;
    pthread_detach(pthread_self());
    if (soap_serve(served) && !served->user && served->error != SOAP_EOF && served->error != SOAP_STOP) {
        fprintf(stderr, "a request is not as the schema has it: ");
        soap_print_fault(served, stderr);
    }
    soap_destroy(served);
    soap_end(served);
    soap_free(served);
    return NULL;
}

int main(int count, char **given) {
    if (count != 4)
        return 2;
    upstream = given[2];
    contract = given[3];
    const soap_mode mode = SOAP_C_UTFSTRING | SOAP_IO_KEEPALIVE | SOAP_XML_STRICT;
    struct soap *listening = soap_new2(mode, mode);
    soap_set_namespaces(listening, namespaces);
    listening->fget = answer_get;
    listening->bind_flags = SO_REUSEADDR;
    listening->recv_timeout = listening->send_timeout = 60;
    if (!soap_valid_socket(soap_bind(listening, "127.0.0.1", atoi(given[1]), 100))) {
        soap_print_fault(listening, stderr);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (!soap_valid_socket(soap_accept(listening)))
            continue;
        pthread_t thread;
        pthread_create(&thread, NULL, serve, soap_copy(listening));
    }
}
