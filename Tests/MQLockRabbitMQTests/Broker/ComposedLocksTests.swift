import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Several locks as one, locks within themselves and striped locks, over each mutex on the real broker.
    @Suite struct ComposedLocksTests {}
}

extension LiveBrokerTests.ComposedLocksTests {
    /// What is composed knows nothing of the mutex: one is enough, unless there is time.
    @Test(arguments: LiveBroker.isFullRun ? RabbitMQLocks.Mutex.allCases : [.singleActiveConsumer])
    func locksComposedOfTheMutexKeepTheRules(
        _ mutex: RabbitMQLocks.Mutex
    ) async throws {
        let broker = try LiveBrokerTests.broker()
        let names = Locked<[LockName]>([])
        defer {
            let stripes = names.withLock { $0.last }.map { last in (0..<64).map { "\(last.string)/64/\($0)" } } ?? []
            broker.clean(names.withLock { $0 } + stripes.compactMap { try? LockName($0) })
        }
        var effort = LockConformance<RabbitMQLocks>.Effort()
        effort.seed = TestSeed.next()
        (effort.entities, effort.losses) = LiveBroker.isFullRun ? (10_000, 5) : (2000, 2)
        print("composed locks on \(mutex): MQLOCK_SEED=\(effort.seed)")
        let report = await LockConformance(subject(mutex, broker, names), effort: effort).runComposed()
        print("\(mutex)\n\(report)")
        #expect(report.hasPassed, "\(report)")
        if broker.control != nil {
            #expect(report.entries.allSatisfy { $0.outcome == .passed }, "nothing has to be left out: \(report)")
            let last = try #require(names.withLock { $0.last })
            let count = try await locks(under: last, on: broker).count
            #expect((48...64).contains(count), "\(count) striped locks are on the broker")
        }
    }

    /// The numbers of the striped locks that have any object on the broker.
    private func locks(under prefix: LockName, on broker: LiveBroker) async throws -> Set<Substring> {
        let objects = try broker.objects(LockName("\(prefix.string)/64/"))
        let queues = try await broker.ctl("-q", "list_queues", "name").split(separator: "\n")
        return Set(
            queues.compactMap { queue in
                objects.all.first { queue.hasPrefix($0) }.map { queue.dropFirst($0.count) }
            })
    }

    private func subject(
        _ mutex: RabbitMQLocks.Mutex, _ broker: LiveBroker, _ names: Locked<[LockName]>
    ) -> ConformanceSubject<RabbitMQLocks> {
        let owners = Locked<[ObjectIdentifier: String]>([:])
        var subject = ConformanceSubject<RabbitMQLocks>(handOverLimit: .seconds(6)) { options in
            let owner = "composed-\(UInt32.random(in: 0 ... .max))"
            let locks = try broker.locks(mutex: mutex, observer: options.observer) { configuration in
                configuration.owner = owner
                configuration.maximumWaiters = options.maximumWaiters ?? configuration.maximumWaiters
            }
            owners.withLock { $0[ObjectIdentifier(locks)] = owner }
            return locks
        }
        subject.patience = .seconds(120)
        subject.close = { await $0.shutdown() }
        let random = subject.makeName
        subject.makeName = {
            let name = random()
            names.withLock { $0.append(name) }
            return name
        }
        guard broker.control != nil else { return subject }
        subject.faults.endSession = { locks in
            let owner = owners.withLock { $0[ObjectIdentifier(locks)] } ?? ""
            // One that is between two sessions has none to close.
            try? await broker.closeConnections("\(owner) locks")
        }
        subject.faults.deleteObjects = { name in
            let objects = try broker.objects(name)
            // Of another connection's queue an administrator only may say so.
            if mutex == .exclusiveQueue { try await broker.ctl("delete_queue", objects.queue) }
            try broker.raw { client in
                for queue in mutex == .token ? [objects.queue, objects.register] : [objects.queue, objects.line] {
                    try client.delete(queue)
                }
            }
        }
        return subject
    }
}
