package hello;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class Main {
    public static void main(String[] args) throws Exception {
        byte[] greeting;
        try (var in = Main.class.getResourceAsStream("/greeting.txt")) {
            greeting = in.readAllBytes();
        }
        var server = HttpServer.create(new InetSocketAddress(Integer.parseInt(System.getenv("PORT"))), 0);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, greeting.length);
            try (var body = exchange.getResponseBody()) {
                body.write(greeting);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(5)));
        server.start();
        System.out.printf("heap of at most %d MiB%n", Runtime.getRuntime().maxMemory() >> 20);
    }
}
