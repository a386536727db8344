#!/usr/bin/env bash
exec perl server.pl
