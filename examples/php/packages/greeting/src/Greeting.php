<?php

namespace Greeting;

final class Greeting
{
    public static function to(string $who): string
    {
        return "Hello from $who";
    }
}
