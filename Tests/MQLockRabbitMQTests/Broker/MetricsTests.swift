import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Metrics and observers on the real broker.
    @Suite struct MetricsTests {}
}

extension LiveBrokerTests.MetricsTests {
    /// What callers saw that a history does not know.
    private struct Seen {
        var waits = 0
        var contended = 0
        var leaks = 0
        var errors: [LockError.Code: Int] = [:]
    }

    /// One load, by two providers that share their metrics.
    private final class Load: Sendable {
        let recorder = HistoryRecorder(process: "all")
        let seen = Locked(Seen())
        let names: [LockName]

        init(_ names: [LockName]) { self.names = names }

        func work(_ locks: RabbitMQLocks, _ contender: String, _ generator: SeededGenerator) async {
            var random = generator
            for _ in 0..<20 {
                let name = names.randomElement(using: &random)!
                let (kind, dice) = (Int.random(in: 0..<4, using: &random), Int.random(in: 0..<10, using: &random))
                let pause = Duration.microseconds(Int.random(in: 0...3000, using: &random))
                let call = Task { await use(locks, name, contender, kind: kind, pause, leak: dice == 0) }
                if kind == 1 && dice < 5 {
                    try? await Task.sleep(for: pause)
                    call.cancel()
                }
                await call.value
            }
        }

        private func use(
            _ locks: RabbitMQLocks, _ name: LockName, _ contender: String, kind: Int, _ pause: Duration, leak: Bool
        ) async {
            do throws(LockError) {
                let held: HeldLock
                if kind == 0 {
                    guard let got = try await locks.tryAcquire(name) else {
                        return seen.withLock { $0.contended += 1 }
                    }
                    held = got
                } else {
                    seen.withLock { $0.waits += 1 }
                    held = try await locks.acquire(name, within: kind == 2 ? pause : nil)
                }
                let end = recorder.record(lease: held.lease, contender: contender)
                try? await Task.sleep(for: pause)
                if leak { seen.withLock { $0.leaks += 1 } }
                await letGo(held, leak: leak)
                await end.value
            } catch {
                seen.withLock { $0.errors[error.code, default: 0] += 1 }
            }
        }

        private func letGo(_ held: consuming HeldLock, leak: Bool) async {
            if leak { return }
            try? await held.release()
        }
    }

    @Test(arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .token])
    func countsAreThoseOfTheHistory(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        let seed = TestSeed.next()
        print("metrics of a load on the broker: MQLOCK_SEED=\(seed)")
        let names = try (0..<3).map { try LockName("test/metrics/\($0)/\(UInt64.random(in: 0 ... .max))") }
        defer { broker.clean(names) }
        let (metrics, log) = (LockMetrics(), EventLog())
        let observer = LockObserverGroup([metrics, log])
        let providers = try (0..<2).map { _ in try broker.locks(mutex: mutex, observer: observer) }
        let load = Load(names)
        // A deadline of a millisecond is not for the first session to come up.
        for (index, locks) in providers.enumerated() {
            let held = try await locks.acquire(names[index], within: .seconds(60))
            load.seen.withLock { $0.waits += 1 }
            let end = load.recorder.record(lease: held.lease, contender: "first")
            try await held.release()
            await end.value
        }
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<8 {
                let random = SeededGenerator(seed &+ UInt64(index))
                group.addTask { await load.work(providers[index % 2], "c\(index)", random) }
            }
        }
        // One hold that the broker takes away. A token that was fetched without waiting hangs on its register alone.
        let holder = Contender(providers[0], names[0])
        let lease = try await holder.lease(within: .seconds(60))
        let end = load.recorder.record(lease: lease, contender: "holder")
        for queue in try broker.objects(names[0]).all { try? broker.raw { try $0.delete(queue) } }
        #expect(try await lease.lossReason(within: .seconds(20)) != nil)
        _ = try await holder.release()
        await end.value
        for locks in providers { await locks.shutdown() }

        let history = HistoryChecker().check(load.recorder.events).statistics
        let seen = load.seen.withLock { $0 }
        let lost = history.processes.values.reduce(0) { $0 + $1.lost }
        try await eventually("every event to be counted") {
            Page(metrics).total("mqlock_hold_seconds_count") == history.grants
                && log.events.filter { $0.kind == .stopped }.count == 2
        }
        let page = Page(metrics)
        print("grants \(history.grants), lost \(lost), \(seen)")
        #expect(history.grants > 40 && lost > 0)
        #expect(page.total("mqlock_grants_total") == history.grants)
        #expect(page.total("mqlock_wait_seconds_count") == history.grants)
        #expect(page.total("mqlock_losses_total") == lost)
        #expect(page.total("mqlock_releases_total") + page.total("mqlock_leaks_total") == history.grants - lost)
        #expect(page.total("mqlock_leaks_total") == seen.leaks)
        // The holder's wait at the end is not the load's.
        #expect(page.total("mqlock_waits_total") == seen.waits + 1)
        #expect(page.total("mqlock_contended_total") == seen.contended)
        #expect(page.total("mqlock_timeouts_total") == seen.errors[.timedOut, default: 0])
        #expect(page.total("mqlock_cancellations_total") == seen.errors[.cancelled, default: 0])
        #expect(seen.errors.keys.allSatisfy { $0 == .timedOut || $0 == .cancelled }, "\(seen.errors)")
        #expect(page.total("mqlock_failures_total") == 0 && page.total("mqlock_events_dropped_total") == 0)
        #expect(page.total("mqlock_held") == 0 && page.total("mqlock_waiting") == 0)
        // Each session proves itself before it is announced.
        #expect(page.total("mqlock_connects_total") == 2 && page.total("mqlock_sessions") == 0)
        #expect(page.total("mqlock_renewal_seconds_count") >= 2)
        #expect(log.events.first?.kind == .waiting || log.events.first?.kind == .connecting)
    }

    /// How the session fares is told: each attempt, its failure, and the proof that it lives.
    @Test func attemptsAndRenewalsAreReported() async throws {
        let broker = try LiveBrokerTests.broker()
        let log = EventLog()
        let nowhere = try RabbitMQLocks(
            {
                var configuration = RabbitMQLocks.Configuration(uri: "amqp://127.0.0.1:1")
                configuration.startupTimeout = .milliseconds(300)
                configuration.backoff = .milliseconds(20) ... .milliseconds(20)
                return configuration
            }(), observer: log)
        await #expect(throws: LockError.self) { try await nowhere.acquire("name").release() }
        await nowhere.shutdown()
        _ = try await log.first(.stopped)
        let kinds = log.events.map(\.kind)
        #expect(kinds.filter { $0 == .connecting }.count >= 2)
        #expect(log.events.contains { $0.kind == .connectionFailed && $0.detail?.contains("127.0.0.1:1") == true })
        #expect(log.events.contains { $0.kind == .failed && $0.errorCode == .unreachable })

        let living = EventLog()
        let locks = try broker.locks("heartbeat=2", observer: living)
        try await broker.withName { name in
            let held = try await locks.acquire(name)
            let renewed = try await living.first(.renewed, after: living.events.count)
            let (proven, roundTrip) = (try #require(renewed.proven), try #require(renewed.roundTrip))
            // Twice the heartbeat less the margin, from the sending on.
            #expect(roundTrip > .zero && proven > .zero && proven + roundTrip <= .milliseconds(3600))
            #expect(renewed.locksHeld == 1 && renewed.contendersWaiting == 0)
            try await held.release()
        }
        await locks.shutdown()
    }
}

/// The samples of a page, added up over labels. That pages are well-formed is tested with MQLock itself.
private struct Page {
    private let lines: [Substring]

    init(_ metrics: LockMetrics) { lines = metrics.prometheusText().split(separator: "\n") }

    func total(_ name: String) -> Int {
        lines.filter { $0.hasPrefix("\(name) ") || $0.hasPrefix("\(name){") }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0) { $0 + Int($1) }
    }
}
