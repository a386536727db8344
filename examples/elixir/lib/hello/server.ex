defmodule Hello.Server do
  @moduledoc "One page over HTTP: Erlang's sockets read requests themselves, with packet: :http_bin."

  def listen(port) do
    {:ok, socket} = :gen_tcp.listen(port, [:binary, packet: :http_bin, active: false, reuseaddr: true])
    accept(socket)
  end

  defp accept(socket) do
    {:ok, client} = :gen_tcp.accept(socket)
    {:ok, pid} = Task.Supervisor.start_child(Hello.Requests, fn -> serve(client) end)
    _ = :gen_tcp.controlling_process(client, pid)
    accept(socket)
  end

  defp serve(client) do
    case :gen_tcp.recv(client, 0, 5_000) do
      {:ok, :http_eoh} -> answer(client)
      {:ok, _} -> serve(client)
      {:error, _} -> :gen_tcp.close(client)
    end
  end

  defp answer(client) do
    body = Application.fetch_env!(:hello, :greeting)
    :gen_tcp.send(client, ["HTTP/1.1 200 OK\r\nContent-Length: #{byte_size(body)}\r\nConnection: close\r\n\r\n", body])
    :gen_tcp.close(client)
  end
end
