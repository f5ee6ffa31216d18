<?php
// A page of an application that knows nothing of TLS; genkan tells it in headers.
header('Content-Type: text/plain; charset=utf-8');
foreach (['HTTP_HOST', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_FORWARDED_FOR', 'REMOTE_ADDR'] as $name) {
    printf("%-22s %s\n", $name, $_SERVER[$name] ?? '-');
}
