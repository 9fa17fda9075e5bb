import MQLock
import MQLockTesting

/// Brokers in memory that share nothing but a clock, and the programs that use them as one.
struct QuorumStage: Sendable {
    let clock = ManualClock()
    let brokers: [InMemoryBroker]

    init(_ count: Int = 3, _ mutation: Mutation = []) {
        let clock = clock
        brokers = (0..<count).map { _ in InMemoryBroker(clock: clock, sessionTimeout: .seconds(10), mutation: mutation)
        }
    }

    /// A program with a session on each broker.
    struct Program: Sendable {
        let sessions: [InMemoryLocks]
        let quorum: BrokerQuorum

        func silence(_ members: Int...) { for member in members { sessions[member].silence() } }
        func heal(_ members: Int...) { for member in members { sessions[member].heal() } }
    }

    func program(
        settling: Duration? = nil, ahead: Duration = .zero, observer: (any LockObserver)? = nil,
        maximumWaiters: Int = 1000
    ) throws -> Program {
        let sessions = brokers.map { InMemoryLocks($0) }
        for session in sessions { session.setTimeOfDay(ahead: ahead) }
        return Program(
            sessions: sessions,
            quorum: try BrokerQuorum(
                sessions, settling: settling, maximumWaiters: maximumWaiters, observer: observer))
    }

    /// Does something that takes time, and has it pass meanwhile.
    func passing<Result: Sendable>(
        step: Duration = .milliseconds(20), _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let clock = clock
        let moving = Task {
            while !Task.isCancelled {
                // What has been woken goes first: a clock that runs ahead of it is a machine that hangs.
                await clock.settle(turns: 30)
                clock.advance(by: step)
            }
        }
        do {
            let result = try await body()
            moving.cancel()
            await moving.value
            return result
        } catch {
            moving.cancel()
            await moving.value
            throw error
        }
    }

    /// Waits for a lock, and returns what its lease says when it is released again.
    func token(_ quorum: BrokerQuorum, _ name: LockName = "ledger") async throws -> UInt64 {
        try await passing {
            let held = try await quorum.acquire(name)
            let token = held.lease.fencingToken.rawValue
            try await held.release()
            return token
        }
    }
}
