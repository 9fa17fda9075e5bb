import Logging
import MQLock
import MQLockRabbitMQ
import ServiceLifecycle

/// `GracefulServices [URI]`: runs the services of the article *Running as a service* in each order, with the broker if there
/// is one, shuts each group down, and says how it ended, a line each.
@main struct GracefulServices {
    static func main() async throws {
        let uri = CommandLine.arguments.dropFirst().first
        for isInOrder in [true, false] {
            let logger = Logger(label: "services") { _ in SwiftLogNoOpLogHandler() }
            // Nothing listens on port 1.
            var configuration = RabbitMQLocks.Configuration(uri: uri ?? "amqp://127.0.0.1:1")
            configuration.drainTimeout = .seconds(1)
            let locks = try RabbitMQLocks(configuration)
            let election = try LeaderElection("test/services", on: locks)
            let (leads, signal) = AsyncStream.makeStream(of: Void.self)
            let leader = LeaderService(election: election) { _ in
                signal.yield()
                // Until it is cancelled.
                for await _ in AsyncStream<Never>.makeStream().stream {}
            }
            let services: ServiceGroup
            if isInOrder {
                services = group(locks, leader, logger: logger)
            } else {
                services = ServiceGroup(
                    configuration: ServiceGroupConfiguration(
                        services: [leader, LockService(locks: locks)], gracefulShutdownSignals: [.sigterm],
                        logger: logger))
            }
            let events = election.events
            let running = Task { try await services.run() }
            if uri == nil {
                for await event in events where event.kind == .campaigning { break }
            } else {
                for await _ in leads { break }
            }
            await services.triggerGracefulShutdown()
            let order = isInOrder ? "locks first" : "locks last"
            switch await running.result {
            case .success: print("\(order): ended")
            case .failure(let error as LockError): print("\(order): ended with \(error.code)")
            case .failure(let error): print("\(order): ended with \(error)")
            }
        }
    }
}
