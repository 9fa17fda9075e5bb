import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Jobs that are done once in a period, over each mutex on the real broker.
    @Suite(.timeLimit(.minutes(3))) struct OnceTests {}
}

extension LiveBrokerTests.OnceTests {
    /// Deletes what the body left in the name's queues.
    private func withLocks(
        _ count: Int, _ mutex: RabbitMQLocks.Mutex, _ prefix: String = #function,
        _ body: (LiveBroker, LockName, [RabbitMQLocks]) async throws -> Void
    ) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName(prefix) { name in
            let locks = try (0..<count).map { number in
                try broker.locks(mutex: mutex) { $0.owner = "\(name) \(number)" }
            }
            let result: Result<Void, any Error>
            do { result = .success(try await body(broker, name, locks)) } catch { result = .failure(error) }
            for locks in locks { await locks.shutdown(within: .zero) }
            try result.get()
        }
    }

    private func mark(_ number: Int, _ period: String? = nil) -> DoneMark {
        DoneMark(
            period: period ?? "key \(number)", began: Int64(number), ended: Int64(number), owner: "o",
            fencingToken: FencingToken(rawValue: UInt64(number))!)
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases) func whoComesFirstDoesItAndTheOthersSkipIt(
        _ mutex: RabbitMQLocks.Mutex
    ) async throws {
        try await withLocks(3, mutex) { _, name, locks in
            let runs = Locked<[FencingToken]>([])
            for number in 0..<4 {
                let period = try Period.key("release \(number)")
                let results = try await withThrowingTaskGroup(of: OnceResult<FencingToken>.self) { group in
                    for index in 0..<6 {
                        group.addTask {
                            try await locks[index % 3].once(name, for: period, within: .seconds(60)) { lease in
                                runs.withLock { $0.append(lease.fencingToken) }
                                return lease.fencingToken
                            }
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let tokens = runs.withLock { $0 }
                #expect(tokens.count == number + 1)
                #expect(results.compactMap(\.value) == tokens.suffix(1))
                #expect(results.compactMap(\.mark?.fencingToken) == [FencingToken](repeating: tokens.last!, count: 5))
            }
            #expect(try await locks[0].marks(of: name).map(\.fencingToken).sorted() == runs.withLock { $0 })
        }
    }

    /// Whoever looks sees all marks, however many look at the same time: one who saw a part would do a job again.
    @Test func allWhoLookAtOnceSeeEverything() async throws {
        try await withLocks(4, .singleActiveConsumer) { _, name, locks in
            let marks = (1...DoneMark.kept).map { mark($0) }
            for mark in marks { try await locks[0].write(mark, of: name, within: .seconds(20)) }
            try await withThrowingTaskGroup(of: [DoneMark].self) { group in
                for index in 0..<40 {
                    group.addTask { try await locks[index % 4].marks(of: name, within: .seconds(60)) }
                }
                for try await seen in group { #expect(seen.map(\.began).sorted() == marks.map(\.began)) }
            }
        }
    }

    /// The queue's log is kept back to the oldest message that is only put back.
    @Test func marksThatManyHaveLookedAtAreWrittenAnew() async throws {
        try await withLocks(4, .singleActiveConsumer) { broker, name, locks in
            let marks = (1...3).map { mark($0) }
            for mark in marks { try await locks[0].write(mark, of: name, within: .seconds(20)) }
            // Each by so many one after the other.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for locks in locks {
                    group.addTask {
                        for _ in 0..<(Int(MarkLook.wear) / 4 + 5) {
                            let seen = try await locks.marks(of: name, within: .seconds(60))
                            #expect(seen == marks)
                        }
                    }
                }
                try await group.waitForAll()
            }
            // One more, by a new mark, which is not to count as older than those that are written anew.
            try await locks[0].write(mark(4), of: name, within: .seconds(20))
            #expect(try await locks[1].marks(of: name, within: .seconds(20)) == marks + [mark(4)])
            for locks in locks { await locks.shutdown(within: .zero) }
            let kept = try broker.raw { client in
                try client.consume(try broker.objects(name).done, prefetch: 8)
                return try client.received(4)
            }
            #expect(kept.allSatisfy { BrokerBehavior.returns(of: $0.properties) < 100 })
            #expect(kept.compactMap { MarkMessage($0)?.mark } == marks + [mark(4)])
        }
    }

    @Test func theLastMarksAreKeptAndNothingElse() async throws {
        try await withLocks(2, .singleActiveConsumer) { broker, name, locks in
            #expect(try await locks[0].marks(of: name, within: .seconds(20)) == [])
            let queue = try broker.objects(name).done
            for number in 1...12 { try await locks[number % 2].write(mark(number), of: name, within: .seconds(20)) }
            // Twice, as by somebody who did not hear the confirm; by another way; of another kind.
            try await locks[0].write(mark(12), of: name, within: .seconds(20))
            let forged = MarkMessage(mark(99)).payload
            try broker.raw { client in
                try client.publish(forged, to: queue)
                try client.publish([0, 255], to: queue)
                try client.publish(Array("hello".utf8), exchange: ObjectNames.exchange, key: queue, properties: .init())
            }
            for locks in locks {
                #expect(try await locks.marks(of: name, within: .seconds(20)).map(\.began).sorted() == Array(5...12))
            }
            try await eventually("the marks that are kept") {
                try broker.raw { try $0.counts(queue)?.messages } == DoneMark.kept
            }
        }
    }

    /// Three programs with one schedule, for three ticks.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func eachTickIsDoneOnce(_ mutex: RabbitMQLocks.Mutex) async throws {
        try await withLocks(3, mutex) { _, name, locks in
            let began = Locked<[Int64]>([])
            let schedule = try Schedule.every(.seconds(1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for locks in locks {
                    group.addTask {
                        try await locks.schedule(name, schedule) { tick in began.withLock { $0.append(tick.time) } }
                    }
                }
                try await eventually("three ticks") { began.withLock { $0.count } >= 3 }
                group.cancelAll()
                try await group.waitForAll()
            }
            let ticks = began.withLock { $0 }
            #expect(Set(ticks).count == ticks.count && ticks.allSatisfy { $0 % 1000 == 0 }, "\(ticks)")
            let marks = try await locks[0].marks(of: name)
            #expect(Set(marks.map(\.start)) == Set(ticks))
        }
    }

    /// The connections end while the job goes on, and again when it is done and to be marked.
    @Test func aJobUnderALostLockIsDoneAgainByAnother() async throws {
        try await withLocks(2, .singleActiveConsumer) { broker, name, locks in
            guard broker.control != nil else { return }
            let runs = Locked(0)
            let error = await #expect(throws: LockError.self) {
                try await locks[0].once(name, for: .key("k")) { _ in
                    runs.withLock { $0 += 1 }
                    try await broker.closeConnections(name.string)
                }
            }
            #expect(error?.code == .lost)
            let second = try await locks[1].once(name, for: .key("k"), within: .seconds(60)) { _ in
                runs.withLock { $0 += 1 }
            }
            #expect(second.mark == nil && runs.withLock { $0 } == 2)
            #expect(
                try await locks[0].once(name, for: .key("k"), within: .seconds(60)) { _ in }.mark?.owner == "\(name) 1")
        }
    }

    /// A mark that is being written when the session ends is written over the next one.
    @Test func aRequestSurvivesItsSession() async throws {
        try await withLocks(1, .singleActiveConsumer) { broker, name, locks in
            guard broker.control != nil else { return }
            for number in 1...5 {
                let ending = Task { try await broker.closeConnections(name.string) }
                for turn in 0..<10 {
                    try await locks[0].write(mark(number * 10 + turn), of: name, within: .seconds(60))
                }
                _ = try await ending.value
                #expect(
                    try await locks[0].marks(of: name, within: .seconds(60)).contains {
                        $0.began == Int64(number * 10 + 9)
                    })
            }
        }
    }

    /// A holder that finishes while its program shuts down still says so.
    @Test func aJobIsMarkedWhileTheProviderDrains() async throws {
        try await withLocks(2, .singleActiveConsumer) { _, name, locks in
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            let (go, finish) = AsyncStream.makeStream(of: Void.self)
            let running = Task {
                try await locks[0].once(name, for: .key("k")) { _ in
                    start.finish()
                    for await _ in go { break }
                }
            }
            for await _ in started { break }
            let stopping = Task { await locks[0].shutdown(within: .seconds(30)) }
            // Until it turns newcomers away.
            try await eventually("the provider drains") {
                do throws(LockError) { _ = try await locks[0].marks(of: name, within: .seconds(5)) } catch {
                    return error.code == .shutDown
                }
                return false
            }
            finish.finish()
            #expect(try await running.value.mark == nil)
            await stopping.value
            #expect(
                try await locks[1].once(name, for: .key("k"), within: .seconds(60)) { _ in }.mark?.owner == "\(name) 0")
        }
    }

    @Test func whoAsksIsNotKeptWaiting() async throws {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://127.0.0.1:1")
        configuration.backoff = .milliseconds(10) ... .milliseconds(20)
        let locks = try RabbitMQLocks(configuration)
        let late = await #expect(throws: LockError.self) { try await locks.marks(of: "n", within: .milliseconds(50)) }
        #expect(late?.code == .unreachable)
        let unknown = await #expect(throws: LockError.self) { try await locks.write(mark(1), of: "n", within: .zero) }
        #expect(unknown?.code == .outcomeUnknown)
        let cancelled = Task { try await locks.marks(of: "n", within: nil) }
        cancelled.cancel()
        let error = await #expect(throws: LockError.self) { try await cancelled.value }
        #expect(error?.code == .cancelled)
        await locks.shutdown()
        let stopped = await #expect(throws: LockError.self) { try await locks.marks(of: "n", within: nil) }
        #expect(stopped?.code == .shutDown)
    }
}
