defmodule Shop.Application do end
