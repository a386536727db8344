defmodule Hello.Application do
  use Application

  @impl true
  def start(_type, _args) do
    children = [
      {Task.Supervisor, name: Hello.Requests},
      {Task, fn -> Hello.Server.listen(Application.fetch_env!(:hello, :port)) end}
    ]

    Supervisor.start_link(children, strategy: :one_for_one)
  end
end
