import Foundation
import MQLock
import MQLockTesting
import Testing

/// What the metrics count is what happened: the same run, written down by those who took part in it.
@Suite(.timeLimit(.minutes(2))) struct MetricsOfALoadTests {
    /// What callers saw that a history does not know.
    private struct Seen {
        var calls = 0
        var tries = 0
        var contended = 0
        var leaks = 0
        var errors: [LockError.Code: Int] = [:]
    }

    private let recorder = HistoryRecorder(process: "all")
    private let seen = Locked(Seen())
    private let broker = InMemoryBroker(sessionTimeout: .seconds(2))

    @Test func countsAreThoseOfTheHistory() async throws {
        let seed = ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        print("metrics of a load: MQLOCK_SEED=\(seed)")
        let metrics = LockMetrics(nameLabel: .only(["load/0", "load/1"]))
        let tap = Tap(metrics)
        let clients = (0..<3).map { InMemoryLocks(broker, owner: "client \($0)", observer: tap) }
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<24 {
                let random = SeededGenerator(seed &+ UInt64(index))
                group.addTask { await work(clients[index % 3], "c\(index)", random) }
            }
            group.addTask {
                var random = SeededGenerator(~seed)
                for _ in 0..<12 {
                    try? await Task.sleep(for: .milliseconds(Int.random(in: 5...25, using: &random)))
                    clients.randomElement(using: &random)!.dropSession()
                }
            }
        }
        let history = HistoryChecker().check(recorder.events)
        let seen = seen.withLock { $0 }
        let grants = history.statistics.grants
        // The last event of every call and of every hold is here.
        await tap.seen { events in
            let ends = events.filter { [.released, .lost, .leaked].contains($0.kind) }.count
            return ends == grants && events.filter { $0.kind == .granted }.count == grants
                && events.filter { $0.errorCode != nil }.count == seen.errors.values.reduce(0, +)
        }
        let page = try PrometheusPage(metrics.prometheusText())
        let ended = recorder.events.filter { if case .ended = $0.kind { true } else { false } }.count
        let lost = history.statistics.processes.values.reduce(0) { $0 + $1.lost }
        #expect(grants == ended && grants > 100 && lost > 0, "a load that means something: \(grants), \(lost)")
        #expect(page.total("mqlock_grants_total") == grants)
        #expect(page.total("mqlock_losses_total") == lost)
        #expect(page.total("mqlock_releases_total") + page.total("mqlock_leaks_total") == grants - lost)
        #expect(page.total("mqlock_waits_total") == seen.calls - seen.tries)
        #expect(page.total("mqlock_contended_total") == seen.contended)
        #expect(page.total("mqlock_timeouts_total") == seen.errors[.timedOut, default: 0])
        #expect(page.total("mqlock_cancellations_total") == seen.errors[.cancelled, default: 0])
        let others = seen.errors.filter { $0.key != .timedOut && $0.key != .cancelled }.values.reduce(0, +)
        #expect(page.total("mqlock_failures_total") == others)
        #expect(page.total("mqlock_wait_seconds_count") == grants && page.total("mqlock_hold_seconds_count") == grants)
        #expect(page.total("mqlock_handover_seconds_count") > 0)
        #expect(page.value("mqlock_held") == 0 && page.value("mqlock_waiting") == 0)
        #expect(page.total("mqlock_events_dropped_total") == 0)
        for name in ["load/0", "load/1"] {
            let own = recorder.events.filter { event in
                if case .granted = event.kind { event.name == name } else { false }
            }
            #expect(page.value("mqlock_grants_total", ["lock": name]) == Double(own.count))
        }
        #expect(page.total("mqlock_disconnects_total") > 0)
        try checkIDs(tap.events)
    }

    /// Spans can be made of the events: what belongs together says so.
    private func checkIDs(_ events: [LockEvent]) throws {
        let calls = Dictionary(grouping: events.filter { $0.attempt != nil }, by: { $0.attempt! })
        for (_, events) in calls {
            #expect(Set(events.map(\.name)).count == 1 && Set(events.map(\.owner)).count == 1)
            guard let granted = events.first(where: { $0.kind == .granted }) else { continue }
            let ends = events.filter { $0.held != nil }
            #expect(ends.count == 1 && ends[0].leaseID == granted.leaseID && granted.leaseID != nil)
            #expect(ends[0].fencingToken == granted.fencingToken && granted.fencingToken != nil)
            #expect(events.filter { $0.kind == .waiting }.count <= 1)
        }
        #expect(!events.contains { $0.name != nil && $0.attempt == nil && $0.leaseID == nil && $0.kind != .foreign })
    }

    private func work(_ locks: InMemoryLocks, _ contender: String, _ generator: SeededGenerator) async {
        var random = generator
        for _ in 0..<25 {
            let name = LockName(number: Int.random(in: 0..<4, using: &random))
            seen.withLock { $0.calls += 1 }
            let (kind, dice) = (Int.random(in: 0..<4, using: &random), Int.random(in: 0..<10, using: &random))
            let pause = Duration.microseconds(Int.random(in: 0...1500, using: &random))
            let call = Task { await use(locks, name, contender, kind: kind, pause, leak: dice == 0) }
            if kind == 1 && dice < 5 {
                try? await Task.sleep(for: pause)
                call.cancel()
            }
            await call.value
        }
    }

    private func use(
        _ locks: InMemoryLocks, _ name: LockName, _ contender: String, kind: Int, _ pause: Duration, leak: Bool
    ) async {
        do throws(LockError) {
            let held: HeldLock
            if kind == 0 {
                seen.withLock { $0.tries += 1 }
                guard let got = try await locks.tryAcquire(name) else { return seen.withLock { $0.contended += 1 } }
                held = got
            } else {
                held = try await locks.acquire(name, within: kind == 2 ? pause : nil)
            }
            let end = recorder.record(lease: held.lease, contender: contender)
            try? await Task.sleep(for: pause)
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

extension LockName {
    fileprivate init(number: Int) { self = try! LockName("load/\(number)") }
}
