import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Processes that die or stop, links and brokers that fail.
    @Suite struct LogFaultTests {}
}

extension LiveKafkaTests.LogFaultTests {
    @Test func aReleasedLockGoesOnAtOnce() async throws {
        let place = try await LogPlace.make()
        let worker = try place.process("n")
        let first = try await worker.token()
        let locks = try place.locks()
        async let next = locks.acquire("n").lease.fencingToken
        try await place.inLine("n", 2)
        worker.say("release")
        #expect(try await next > first)
        await locks.shutdown()
    }

    @Test func aKilledHoldersLockGoesOn() async throws {
        let place = try await LogPlace.make()
        let worker = try place.process("n")
        let first = try await worker.token()
        worker.signal(SIGKILL)
        let killed = ContinuousClock.now
        let locks = try place.locks()
        let held = try await locks.acquire("n", within: .seconds(60))
        #expect(held.lease.fencingToken > first)
        // Not before the holder's proof can have ended: 2 s after its last record, which is not older than half a second.
        #expect(killed.duration(to: .now) > .milliseconds(1200))
        try await held.release()
        await locks.shutdown()
    }

    /// It goes on with records that waited for it, and with a clock that went on: it holds nothing any more.
    @Test func aStoppedHolderFindsItsLockLost() async throws {
        let place = try await LogPlace.make()
        let worker = try place.process("n")
        let first = try await worker.token()
        worker.signal(SIGSTOP)
        let locks = try place.locks()
        let held = try await locks.acquire("n", within: .seconds(60))
        #expect(held.lease.fencingToken > first)
        worker.signal(SIGCONT)
        #expect(try await worker.line("lost") == "proofOverdue")
        worker.say("release")
        #expect(try await worker.line("failed") == "lost")
        #expect(held.lease.isValid)
        try await held.release()
        await locks.shutdown()
    }

    /// It stands in the line until it is expired, which is while the holder holds.
    @Test func aKilledWaiterCostsNothing() async throws {
        let place = try await LogPlace.make()
        let locks = try place.locks()
        let holder = try await locks.acquire("n")
        let worker = try place.process("n")
        try await place.inLine("n", 2)
        let others = try place.locks()
        async let next = others.acquire("n").lease.fencingToken
        try await place.inLine("n", 3)
        worker.signal(SIGKILL)
        try await place.inLine("n", 2)
        let token = holder.lease.fencingToken
        try await holder.release()
        #expect(try await next > token)
        await locks.shutdown()
        await others.shutdown()
    }

    /// In either direction: the holder's lease ends by its own clock, before anybody else is granted.
    @Test(arguments: [(true, false), (false, true), (true, true)])
    func aSilentLinkEndsTheHold(_ toBroker: Bool, _ toClient: Bool) async throws {
        let place = try await LogPlace.make()
        let proxy = try await offPool { try KafkaProxy(to: place.broker) }
        let cutOff = try place.locks(behind: proxy)
        let held = try await cutOff.acquire("n")
        proxy.change { ($0.silentToBroker, $0.silentToClient) = (toBroker, toClient) }
        let locks = try place.locks()
        let next = try await locks.acquire("n", within: .seconds(60))
        #expect(!held.lease.isValid)
        #expect(next.lease.fencingToken > held.lease.fencingToken)
        proxy.change { ($0.silentToBroker, $0.silentToClient) = (false, false) }
        // The session that was cut off is followed by another.
        try await cutOff.acquire("m", within: .seconds(60)).release()
        try await next.release()
        await cutOff.shutdown()
        await locks.shutdown()
    }

    @Test func aBrokerThatIsDownForLongEndsTheHoldAndTheWaiterIsServed() async throws {
        let place = try await LogPlace.make(breakable: true)
        let locks = try place.locks()
        let others = try place.locks()
        let held = try await locks.acquire("n")
        async let next = others.acquire("n").lease
        try await place.inLine("n", 2)
        try await offPool { try place.broker.fault("broker", "all", "down") }
        for await state in held.lease.states where state.isFinal { break }
        try await offPool { try place.broker.fault("broker", "all", "up") }
        let token = held.lease.fencingToken
        do {
            try await held.release()
            Issue.record("a lost lock was released")
        } catch {
            #expect(error.code == .lost)
        }
        let lease = try await next
        #expect(lease.fencingToken > token)
        await locks.shutdown()
        await others.shutdown()
    }

    /// Every kind of call fails when no session ever came up; one that has been there is waited for as long as the call does.
    @Test func theFirstSessionIsWaitedForSoLong() async throws {
        let limit = Duration.milliseconds(300)
        var nowhere = KafkaLocks.Configuration(connection: .init(brokers: ["127.0.0.1:1"]), topic: "t")
        nowhere.startupTimeout = limit
        let lost = try KafkaLocks(nowhere)
        for limit in [nil, Duration.milliseconds(50), .seconds(600)] {
            await #expect { try await lost.acquire("n", within: limit).release() } throws: {
                ($0 as? LockError)?.code == .unreachable
            }
        }
        await #expect { try await lost.tryAcquire("n")?.release() } throws: { ($0 as? LockError)?.code == .unreachable }
        await #expect { try await lost.marks(of: "n", within: nil) } throws: {
            ($0 as? LockError)?.code == .unreachable
        }
        await lost.shutdown()

        let place = try await LogPlace.make(breakable: true)
        var configuration = KafkaLocks.Configuration(connection: place.broker.quickConnection, topic: place.topic)
        (configuration.ttl, configuration.startupTimeout) = (.seconds(2), .seconds(4))
        let locks = try KafkaLocks(configuration)
        try await locks.acquire("n").release()
        try await offPool { try place.broker.fault("broker", "all", "down") }
        try await eventually("the session's end") { !locks.isConnected }
        async let late: Void = locks.acquire("n").release()
        // A provider that has never been connected has given up by now.
        let other = try KafkaLocks(configuration)
        await #expect { try await other.acquire("n").release() } throws: { ($0 as? LockError)?.code == .unreachable }
        try await offPool { try place.broker.fault("broker", "all", "up") }
        try await late
        await locks.shutdown()
        await other.shutdown()
    }

    /// Produced late, refused for a while, answered late: nothing is lost by that.
    @Test func aBriefFaultOfTheBrokerCostsNothing() async throws {
        let place = try await LogPlace.make(breakable: true)
        let locks = try place.locks(ttl: .seconds(6))
        let held = try await locks.acquire("n")
        try await offPool {
            try place.broker.fault("errors", "Produce", "NOT_LEADER_FOR_PARTITION", "2")
            try place.broker.fault("errors", "Fetch", "NOT_LEADER_FOR_PARTITION", "2")
            try place.broker.fault("rtt", "all", "300")
        }
        let other = try await locks.acquire("m", within: .seconds(60))
        #expect(held.lease.isValid)
        try await other.release()
        try await held.release()
        await locks.shutdown()
    }

    /// It writes, and every record is acknowledged; but it reads nothing, and so cannot know whether it was expired.
    @Test func whatIsAcknowledgedAndNotReadBackProvesNothing() async throws {
        let place = try await LogPlace.make(breakable: true)
        let locks = try place.locks()
        let held = try await locks.acquire("n")
        // One every 50 ms at most: for longer than the test waits.
        try await offPool { try place.broker.fault("errors", "Fetch", "NOT_LEADER_FOR_PARTITION", "2000") }
        try await eventually("the lease's end") { !held.lease.isValid }
        do { try await held.release() } catch { #expect(error.lossReason?.kind == .proofOverdue) }
        await locks.shutdown(within: .zero)
    }

    /// On another Kafka, as after the topic was deleted: numbers are made from the time of day.
    @Test func tokensGrowOverATopicThatWasMadeAnew() async throws {
        var last: FencingToken?
        for _ in 0..<2 {
            let place = try await LogPlace.make()
            let locks = try place.locks()
            let held = try await locks.acquire("n")
            if let last { #expect(held.lease.fencingToken > last) }
            last = held.lease.fencingToken
            try await held.release()
            await locks.shutdown()
        }
    }

    @Test func aTopicThatIsNotThereIsRefused() async throws {
        let place = try await LogPlace.make()
        var configuration = KafkaLocks.Configuration(connection: place.broker.quickConnection, topic: place.topic)
        configuration.partitions = 5
        let locks = try KafkaLocks(configuration)
        await #expect { try await locks.acquire("n").release() } throws: { ($0 as? LockError)?.code == .incompatible }
        await #expect { try await locks.verify() } throws: { ($0 as? LockError)?.code == .incompatible }
        await locks.shutdown()
        let other = try place.locks()
        try await other.verify()
        #expect(other.isConnected)
        await other.shutdown()
        await #expect { try await other.verify() } throws: { ($0 as? LockError)?.code == .shutDown }
    }

    @Test func namesOfSeveralPartitionsAreLockedAlike() async throws {
        let place = try await LogPlace.make(partitions: 3)
        let (locks, others) = (try place.locks(), try place.locks())
        let names = try (0..<12).map { try LockName("name-\($0)") }
        #expect(Set(names.map { Murmur2.partition(of: $0.utf8, count: 3) }).count == 3)
        var tokens: [FencingToken] = []
        let works = names.map { name in
            let (leases, tell) = AsyncStream.makeStream(of: Lease.self)
            let work = Task {
                try await locks.withLock(name) { lease in
                    tell.yield(lease)
                    try await Task.sleep(for: .seconds(600))
                }
            }
            return (leases, work)
        }
        for (leases, _) in works { tokens.append(try #require(await leases.first { _ in true }).fencingToken) }
        for name in names {
            if let held = try await others.tryAcquire(name) {
                try await held.release()
                Issue.record("\(name) was taken twice")
            }
        }
        await locks.shutdown(within: .zero)
        for (name, token) in zip(names, tokens) {
            let held = try await others.acquire(name, within: .seconds(60))
            #expect(held.lease.fencingToken > token)
            try await held.release()
        }
        await others.shutdown()
    }

    @Test func aRunEndsWhenItIsCancelledAlsoWhenNobodyHasLocked() async throws {
        let place = try await LogPlace.make()
        for isUsed in [false, true] {
            let locks = try place.locks()
            let running = Task { try await locks.run() }
            if isUsed { try await locks.acquire("n").release() }
            running.cancel()
            try await running.value
            await #expect { try await locks.verify() } throws: { ($0 as? LockError)?.code == .shutDown }
        }
        var configuration = KafkaLocks.Configuration(connection: place.broker.quickConnection, topic: place.topic)
        configuration.partitions = 5
        let refused = try KafkaLocks(configuration)
        await #expect { try await refused.run() } throws: { ($0 as? LockError)?.code == .incompatible }
    }

    @Test func whatIsHeldAtTheEndIsLostAndGoesOnAtOnce() async throws {
        let place = try await LogPlace.make()
        let locks = try place.locks(ttl: .seconds(60))
        let held = try await locks.acquire("n")
        let lease = held.lease
        let waiter = Task { try await locks.acquire("n").release() }
        await locks.shutdown(within: .zero)
        let end = Result { () throws(LockError) in try lease.check() }
        guard case .failure(let error) = end else {
            Issue.record("the lease is valid after the end")
            return
        }
        #expect(error.lossReason?.kind == .shutdown)
        do { try await held.release() } catch { #expect(error.code == .lost) }
        await #expect { try await waiter.value } throws: { ($0 as? LockError)?.code == .shutDown }
        // Nobody has to wait for the end of its minute.
        let others = try place.locks()
        let next = try await others.acquire("n", within: .seconds(30))
        #expect(next.lease.fencingToken > lease.fencingToken)
        try await next.release()
        await others.shutdown()
    }

    /// What the log holds that is not ours is told, and has no effect; a newer format ends everything.
    @Test func whatIsNotOursIsReported() async throws {
        let place = try await LogPlace.make()
        let events = EventCollector()
        let locks = try place.locks(observer: events)
        let held = try await locks.acquire("n")
        try await offPool { try place.broker.appendRaw([1, 2, 3], to: place.topic) }
        try await eventually("the event") { events.kinds.contains(.foreign) }
        #expect(held.lease.isValid)
        try await offPool { try place.broker.appendRaw(LogRecord.magic + [2, 0], to: place.topic) }
        for await state in held.lease.states where state.isFinal { break }
        await #expect { try await locks.acquire("m").release() } throws: { ($0 as? LockError)?.code == .incompatible }
        await locks.shutdown()
    }

    /// Processes take names and are killed at random; nothing in their histories contradicts a lock.
    @Test func killedAtRandom() async throws {
        let place = try await LogPlace.make()
        let history = FileManager.default.temporaryDirectory.appending(path: "\(place.topic).history")
        defer { try? FileManager.default.removeItem(at: history) }
        var random = SeededGenerator(TestSeed.next())
        let recorder = try HistoryRecorder(process: "test", appendingTo: openToAppend(history))
        var workers: [String: LogProcess] = [:]
        let isFull = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1"
        let (rounds, processes, names) = isFull ? (40, 20, "200") : (12, 4, "20")
        for round in 0..<rounds {
            while workers.count < processes {
                let name = "p\(round).\(workers.count)"
                workers[name] = try LogProcess(
                    "churn", place.broker, topic: place.topic, ttl: 1000, history.path, name, names)
            }
            try await Task.sleep(for: .milliseconds(700))
            guard let (name, worker) = workers.randomElement(using: &random) else { continue }
            worker.signal(SIGKILL)
            waitpid(worker.pid, nil, 0)
            recorder.record(.init(at: HistoryClock.nanoseconds(of: .now), process: name, kind: .processDied))
            workers[name] = nil
        }
        for (name, worker) in workers {
            worker.signal(SIGKILL)
            waitpid(worker.pid, nil, 0)
            recorder.record(.init(at: HistoryClock.nanoseconds(of: .now), process: name, kind: .processDied))
        }
        let events = try History.events(fromLines: String(contentsOf: history, encoding: .utf8))
        let verdict = HistoryChecker().check(events)
        #expect(verdict.violations.isEmpty, "\(verdict.violations)")
        #expect(verdict.statistics.grants > 50, "\(verdict.statistics)")
    }

    private func openToAppend(_ file: URL) throws -> Int32 {
        let descriptor = open(file.path, O_WRONLY | O_APPEND | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        return descriptor
    }
}

private final class EventCollector: LockObserver {
    private let seen = Locked<[LockEvent.Kind]>([])
    var kinds: [LockEvent.Kind] { seen.withLock { $0 } }
    func observe(_ event: LockEvent) { seen.withLock { $0.append(event.kind) } }
}
