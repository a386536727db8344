<?php

require __DIR__ . '/../vendor/autoload.php';

use Greeting\Greeting;

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: text/plain; charset=utf-8');
switch ($path) {
    case '/':
        echo Greeting::to('PHP ' . PHP_VERSION), "\n";
        break;
    case '/echo':
        echo $_SERVER['REQUEST_METHOD'], ' ', mb_strlen(file_get_contents('php://input')), ' ', $_GET['q'] ?? '', "\n";
        break;
    case '/warn':
        error_log('something to look at');
        echo "noted\n";
        break;
    case '/slow':
        usleep(300_000);
        echo "done\n";
        break;
    default:
        http_response_code(404);
        echo "not here\n";
}
