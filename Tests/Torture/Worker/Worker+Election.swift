import Foundation
import MQLock
import MQLockRabbitMQ

// Candidates, those who watch them, and a whole service.
extension Worker {
    /// Campaigns for ever; tells when its leaderships begin and end. Obeys `resign` and `cede`.
    static func elect(_ locks: RabbitMQLocks, _ name: LockName, _ commands: Commands) async throws {
        let election = try LeaderElection(name, on: locks)
        let running = Task {
            try await election.run { leadership in
                let record = leadership.lease.record
                say("elected \(leadership.fencingToken) \(Boot.now)")
                defer { say("ended \(leadership.fencingToken) \(Boot.now) \(record.isValid)") }
                for await _ in AsyncStream<Never>.makeStream().stream {}
            }
            say("withdrawn")
        }
        while let command = await commands.next() {
            switch command {
            case "resign": await election.resign()
            case "cede": await election.cede()
            default: say("unknown \(command)")
            }
        }
        running.cancel()
        try await running.value
    }

    /// Tells who leads.
    static func watch(_ configuration: RabbitMQLocks.Configuration, _ name: LockName) async throws {
        let election = try LeaderElection(
            name, on: RabbitMQLocks(configuration), inspector: RabbitMQInspector(configuration))
        say("ready")
        for try await leader in election.observe() {
            say(leader.map { "leader \($0.owner) \($0.fencingToken)" } ?? "nobody")
        }
    }

    /// A service as services are: a hundred held locks, a hundred waiters (or SERVICE_SIZE), a leader, and SIGTERM to end
    /// it.
    static func serve(_ configuration: RabbitMQLocks.Configuration, _ prefix: String) async throws {
        var configuration = configuration
        configuration.drainTimeout = .seconds(3)
        let locks = try RabbitMQLocks(configuration)
        let election = try LeaderElection(
            LockName("\(prefix)/leader"), on: locks, settings: .init(stopTimeout: .seconds(3)))
        let size = ProcessInfo.processInfo.environment["SERVICE_SIZE"].flatMap(Int.init) ?? 100
        // In this order: nothing is told before the signal can be handled.
        signal(SIGTERM, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        let service = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await locks.run() }
                group.addTask {
                    try await election.run { _ in
                        say("up leader")
                        for await _ in AsyncStream<Never>.makeStream().stream {}
                    }
                }
                for number in 0..<size {
                    group.addTask { try await hold(locks, LockName("\(prefix)/held/\(number)")) }
                    group.addTask { try await hold(locks, LockName("\(prefix)/busy/\(number)")) }
                }
                try await group.waitForAll()
            }
        }
        source.setEventHandler { service.cancel() }
        source.resume()
        try await service.value
        say("stopped")
    }

    private static func hold(_ locks: RabbitMQLocks, _ name: LockName) async throws {
        do {
            try await locks.withLock(name) { _ in
                say("up \(name)")
                for await _ in AsyncStream<Never>.makeStream().stream {}
                say("down \(name)")
            }
        } catch let error as LockError where [.cancelled, .shutDown, .lost].contains(error.code) {
            say("over \(error.code) \(name)")
        }
    }
}
