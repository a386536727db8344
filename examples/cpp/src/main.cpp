#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "greeting.hpp"

// Reads a request to the end of its head, as far as it comes in one piece, and answers it.
static void answer(int client) {
  char buffer[4096];
  if (read(client, buffer, sizeof buffer) > 0) {
    std::string body = greeting();
    std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                       "\r\nConnection: close\r\n\r\n" + body;
    if (write(client, text.data(), text.size()) < 0) perror("write");
  }
  close(client);
}

int main() {
  const char *port = std::getenv("PORT");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port ? std::atoi(port) : 8080);
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) || listen(listener, 128)) return 1;
  for (;;) {
    int client = accept(listener, nullptr, nullptr);
    if (client >= 0) answer(client);
  }
}
