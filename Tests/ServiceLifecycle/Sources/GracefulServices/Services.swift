import Logging
import MQLock
import MQLockRabbitMQ
import ServiceLifecycle

/// Keeps the session with the broker, and drains it at the end.
struct LockService: Service {
    let locks: RabbitMQLocks

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await locks.run() }
    }
}

/// Does the leader's work whenever this process leads.
struct LeaderService: Service {
    let election: LeaderElection
    let work: @Sendable (Leadership) async throws -> Void

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await election.run(work) }
    }
}

/// A group starts its services from the first to the last and ends them from the last to the first, each before the next:
/// so the locks come first, and whatever uses them after them.
func group(_ locks: RabbitMQLocks, _ leader: LeaderService, logger: Logger) -> ServiceGroup {
    ServiceGroup(
        configuration: ServiceGroupConfiguration(
            services: [LockService(locks: locks), leader], gracefulShutdownSignals: [.sigterm], logger: logger))
}
