<?php
// Calls operations of the simulated till with PHP's own SOAP extension; prints one JSON line for each operation.
ini_set('soap.wsdl_cache_enabled', '0');
$given = json_decode(file_get_contents('php://stdin'), true);
$client = new SoapClient($given['wsdl'], [
    'location' => $given['address'],
    'exceptions' => true,
    'trace' => true,
    'features' => SOAP_SINGLE_ELEMENT_ARRAYS,
    'cache_wsdl' => WSDL_CACHE_NONE,
]);
foreach ($given['calls'] as [$operation, $arguments]) {
    try {
        $answer = $client->__soapCall($operation, [$arguments]);
        echo json_encode(['name' => $operation, 'ok' => true, 'answer' => $answer]), "\n";
    } catch (SoapFault $fault) {
        echo json_encode(['name' => $operation, 'ok' => false, 'why' => $fault->getMessage()]), "\n";
    }
}
