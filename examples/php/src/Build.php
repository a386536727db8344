<?php

namespace App;

final class Build
{
    /** Composer's script "compile" runs when the source is there; what it writes is part of the image. */
    public static function stamp(): void
    {
        file_put_contents(__DIR__ . '/../public/built.txt', 'built with PHP ' . PHP_MAJOR_VERSION . "\n");
    }
}
