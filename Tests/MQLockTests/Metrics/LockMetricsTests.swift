import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct LockMetricsTests {
    private let clock = ManualClock()

    private func event(
        _ kind: LockEvent.Kind, _ name: LockName? = "name", waited: Duration? = nil, held: Duration? = nil,
        handOver: Duration? = nil, reason: LossReason? = nil
    ) -> LockEvent {
        LockEvent(
            kind, at: clock.now, name: name, owner: "owner", waited: waited, held: held, handOver: handOver,
            reason: reason)
    }

    private func page(_ metrics: LockMetrics) throws -> PrometheusPage { try PrometheusPage(metrics.prometheusText()) }

    /// Rates of what has never happened are zero and not unknown, so that the first time is seen.
    @Test func everythingIsThereFromTheBeginning() throws {
        let page = try page(LockMetrics())
        for family in page.families where !family.name.hasPrefix("mqlock_proof_") {
            #expect(!family.samples.isEmpty && family.samples.allSatisfy { $0.value == 0 }, "\(family)")
            #expect(family.name.hasPrefix("mqlock_") && !family.help.isEmpty)
        }
        let reasons = page.families.first { $0.name == "mqlock_losses_total" }!.samples.map { $0.labels["reason"]! }
        #expect(Set(reasons).isSuperset(of: ["connectionClosed", "proofOverdue", "shutdown", "partitionLost"]))
        #expect(reasons.count >= 10)
    }

    /// Each kind raises its own counter and no other.
    @Test(arguments: [
        (LockEvent.Kind.waiting, "waits"), (.contended, "contended"), (.granted, "grants"), (.released, "releases"),
        (.leaked, "leaks"), (.suspect, "suspects"), (.timedOut, "timeouts"), (.cancelled, "cancellations"),
        (.failed, "failures"), (.lost, "losses"), (.connected, "connects"), (.connectionFailed, "connect_failures"),
        (.disconnected, "disconnects"), (.foreign, "foreign_messages"), (.warning, "warnings"),
    ]) func oneEventOneCount(_ kind: LockEvent.Kind, _ name: String) throws {
        let metrics = LockMetrics()
        metrics.observe(event(kind, reason: LossReason(.queueDeleted)))
        let page = try page(metrics)
        let raised = page.families.filter { $0.type == "counter" && $0.samples.contains { $0.value > 0 } }
        #expect(raised.map(\.name) == ["mqlock_\(name)_total"])
        #expect(page.total("mqlock_\(name)_total") == 1)
        if kind == .lost { #expect(page.value("mqlock_losses_total", ["reason": "queueDeleted"]) == 1) }
    }

    @Test func durationsFallIntoTheirBuckets() throws {
        let metrics = LockMetrics()
        let waits: [Duration] = [
            .zero, .microseconds(100), .nanoseconds(100_001), .milliseconds(3), .seconds(1), .seconds(4000),
            .milliseconds(-5),
        ]
        for wait in waits { metrics.observe(event(.granted, waited: wait, handOver: wait / 2)) }
        metrics.observe(event(.lost, held: .seconds(2), reason: LossReason(.forced)))
        metrics.observe(event(.released, held: .seconds(3)))
        metrics.observe(event(.leaked, held: .seconds(4)))
        let page = try page(metrics)
        func bucket(_ le: String) -> Double? { page.value("mqlock_wait_seconds_bucket", ["le": le]) }
        #expect(bucket("0.0001") == 3 && bucket("0.00025") == 4 && bucket("0.0025") == 4 && bucket("0.005") == 5)
        #expect(bucket("0.5") == 5 && bucket("1") == 6 && bucket("3600") == 6 && bucket("+Inf") == 7)
        #expect(abs(page.value("mqlock_wait_seconds_sum")! - 4001.003200001) < 1e-9)
        #expect(page.value("mqlock_handover_seconds_count") == 7)
        #expect(page.value("mqlock_hold_seconds_sum") == 9 && page.value("mqlock_hold_seconds_count") == 3)
    }

    @Test func gaugesSayHowEachProviderStands() async throws {
        let broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(10))
        let metrics = LockMetrics(clock: clock)
        let tap = Tap(metrics)
        let (mine, theirs) = (InMemoryLocks(broker, observer: tap), InMemoryLocks(broker, observer: tap))
        let first = try await mine.acquire("a")
        let second = try await theirs.acquire("b")
        let waiter = Task { try await theirs.acquire("a").release() }
        await tap.seen { $0.filter { $0.kind == .waiting }.count == 3 }
        var now = try page(metrics)
        #expect(now.value("mqlock_held") == 2 && now.value("mqlock_waiting") == 1 && now.value("mqlock_sessions") == 2)
        // The session came up with a proof that no renewal has told of yet.
        clock.advance(by: .milliseconds(2500))
        await tap.seen { $0.filter { $0.kind == .renewed }.count == 2 }
        clock.advance(by: .seconds(1))
        now = try page(metrics)
        #expect(now.value("mqlock_proof_length_seconds") == 9 && now.value("mqlock_proof_remaining_seconds") == 8)
        #expect(now.value("mqlock_renewal_seconds_count") == 2 && now.value("mqlock_renewal_seconds_sum") == 0)
        try await first.release()
        try await waiter.value
        try await second.release()
        mine.shutdown()
        theirs.shutdown()
        await tap.seen { $0.filter { $0.kind == .disconnected }.count == 2 }
        now = try page(metrics)
        for gauge in ["held", "waiting", "sessions"] { #expect(now.value("mqlock_\(gauge)") == 0) }
        #expect(now.value("mqlock_proof_remaining_seconds") == nil)
    }

    // MARK: Labels

    @Test(.serialized, arguments: [0, 20]) func aHundredThousandNamesDoNotGrowIt(_ maximum: Int) async throws {
        let metrics = LockMetrics(nameLabel: .classes(atMost: maximum) { $0.string })
        let plain = LockMetrics()
        for number in 0..<100_000 {
            let name = try LockName("customer-\(number)")
            for metrics in [metrics, plain] { metrics.observe(event(.granted, name, waited: .zero)) }
            // Others have tests by the real clock, and their turn.
            if number % 200 == 0 { await Task.yield() }
        }
        try #require(metrics.prometheusText().utf8.count < 1_000_000)
        let page = try page(metrics)
        let values = Set(page.families.flatMap(\.samples).compactMap { $0.labels["lock"] })
        #expect(values.count == maximum + 1 && values.contains(LockMetrics.NameLabel.other))
        #expect(page.total("mqlock_grants_total") == 100_000)
        #expect(page.value("mqlock_grants_total", ["lock": "other"]) == Double(100_000 - maximum))
        #expect(page.value("mqlock_wait_seconds_count", ["lock": "other"]) == Double(100_000 - maximum))
        let unlabelled = try self.page(plain)
        #expect(unlabelled.value("mqlock_grants_total") == 100_000)
        #expect(!unlabelled.families.flatMap(\.samples).contains { $0.labels["lock"] != nil })
    }

    @Test func namesOnTheListHaveTheirOwnSeriesFromTheBeginning() throws {
        let metrics = LockMetrics(nameLabel: .only(["a", "b"]))
        metrics.observe(event(.granted, "b"))
        metrics.observe(event(.granted, "c"))
        let page = try page(metrics)
        let grants = ["a", "b", "c", "other"].map { page.value("mqlock_grants_total", ["lock": $0]) }
        #expect(grants == [0, 1, nil, 1])
    }

    /// What somebody has put into a name stays a value, on its line, and does not reorder a terminal.
    @Test(arguments: ["\"} 1\nforged_total 7\n#", "back\\slash\\", "tab\tcr\r", "bidi\u{202E}", "é日本", "\\\"", ""])
    func hostileNamesAreValues(_ text: String) throws {
        let metrics = LockMetrics(nameLabel: .classes { _ in text })
        metrics.observe(event(.granted))
        let page = try page(metrics)
        #expect(page.value("mqlock_grants_total", ["lock": text.escapedForDisplay]) == 1)
        #expect(!page.families.contains { !$0.name.hasPrefix("mqlock_") })
    }

    @Test func valuesThatLookTheSameAreOneSeries() throws {
        let metrics = LockMetrics(nameLabel: .classes(atMost: 5) { $0.string.replacing("x", with: "\u{202E}") })
        metrics.observe(event(.granted, "x"))
        metrics.observe(event(.granted, "\\u{202e}"))
        #expect(try page(metrics).value("mqlock_grants_total", ["lock": "\\u{202e}"]) == 2)
    }

    @Test func ownersAreNoLabels() throws {
        let metrics = LockMetrics(nameLabel: .classes { $0.string })
        metrics.observe(LockEvent(.granted, at: clock.now, name: "n", owner: "secret-host/1"))
        #expect(!metrics.prometheusText().contains("secret-host"))
    }
}
