// A server of MongoDB's protocol with nothing in it: java -cp JARS MongoServer.java PORT_FILE
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

class Main {
  public static void main(String[] arguments) throws Exception {
    MongoServer server = new MongoServer(new MemoryBackend());
    InetSocketAddress address = server.bind();
    Path file = Path.of(arguments[0]);
    Path beside = Path.of(arguments[0] + ".new");
    Files.writeString(beside, Integer.toString(address.getPort()));
    Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE);
    Thread.currentThread().join();
  }
}
