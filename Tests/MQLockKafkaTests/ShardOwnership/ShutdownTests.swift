import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// ``ShardOwnership/shutdown()`` ends a run from anywhere, and services that rest on it end in any order.
    @Suite struct ShutdownTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func itEndsTheRunFromWhereverItIsCalled() async throws {
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1)
            try await eventually("the shard") { member.owns(1) }
            let ownership = member.ownership
            let (events, lease) = (ownership.events, try #require(ownership.lease(for: 0)))
            // From work on a shard, which it waits for and so has to be told to end first; and by others at the same time.
            async let inside: Void = ownership.withShard(0) { _ in await ownership.shutdown() }
            async let beside: Void = ownership.shutdown()
            let cancelled = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                await ownership.shutdown()
            }
            await beside
            await cancelled.value
            let error = await member.end()
            #expect(error == nil && !lease.isValid && ownership.owned.isEmpty)
            // It waited for longer than the drain takes.
            _ = try? await inside
            var last: ShardEvent?
            for await event in events { last = event }
            #expect(last?.reason?.kind == .shutdown)
            // Again, it is over already.
            await ownership.shutdown()
            let again = await #expect(throws: LockError.self) { try await ownership.run() }
            #expect(again?.code == .alreadyRunning)
            let late = await #expect(throws: LockError.self) {
                try await ShardLocks(ownership).acquire("name").release()
            }
            #expect(late?.code == .shutDown)
        }

        @Test func beforeTheRunItEndsThatAtOnce() async throws {
            let ownership = try ShardOwnership(
                .init(connection: broker.connection, topic: broker.makeTopic(partitions: 1), partitions: 1))
            let waiting = Task { try await ShardLocks(ownership).acquire("name", within: .seconds(60)).release() }
            await ownership.shutdown()
            try await ownership.run()
            #expect(ownership.owned.isEmpty)
            let error = await #expect(throws: LockError.self) { try await waiting.value }
            #expect(error?.code == .shutDown)
        }

        /// While it sleeps before the next membership, also for longer than anybody waits.
        @Test(.enabled(if: LiveKafka.isMock, "brokers of MQLOCK_KAFKA are not broken"))
        func itEndsTheSleepBetweenTwoMemberships() async throws {
            let own = try OwnKafka()
            let topic = try own.broker.makeTopic(partitions: 1)
            let member = try Member(own.broker, topic, partitions: 1) {
                $0.backoff = .seconds(3600) ... .seconds(3600)
            }
            try await eventually("the shard") { member.owns(1) }
            try own.broker.fault("broker", "all", "down")
            try await eventually("the end of the membership") { member.ownership.driver == nil }
            await member.ownership.shutdown()
            #expect(await member.end() == nil)
        }

        // MARK: In a group of services

        /// What a service does until it is told to end, and what it does then.
        private struct Service: Sendable {
            var run: @Sendable () async throws -> Void
            var isAskedToEnd: @Sendable (Task<Void, any Error>) -> Void
        }

        /// Work that rests on the ownership.
        enum Work: CaseIterable {
            /// Is cancelled when it is told to end.
            case cancelledBody, cancelledLock
            /// Ends with the ownership only, and asks for that.
            case eventsToTheirEnd, bodyUntilTheDrain, locksUntilTheyAreRefused
        }

        enum Ending: CaseIterable { case cancellation, shutdown }

        /// As groups of services do it: one after the other, the last one first, and each is waited for.
        @Test(arguments: Work.allCases, Ending.allCases)
        func whateverTheOrderAllServicesEnd(_ work: Work, _ ending: Ending) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for isWorkAskedFirst in [false, true] {
                    group.addTask { try await endServices(work, ending, isWorkAskedFirst) }
                }
                try await group.waitForAll()
            }
        }

        private func endServices(_ work: Work, _ ending: Ending, _ isWorkAskedFirst: Bool) async throws {
            var configuration = ShardOwnership.Configuration(
                connection: broker.connection, topic: try broker.makeTopic(partitions: 1), partitions: 1)
            configuration.session = LiveKafka.session(.seconds(3))
            configuration.drainTimeout = .seconds(1)
            let ownership = try ShardOwnership(configuration)
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            let services = [
                Service(run: { try await ownership.run() }) { task in
                    if ending == .cancellation { task.cancel() } else { Task { await ownership.shutdown() } }
                },
                service(work, ownership, begin),
            ]
            let tasks = services.map { service in Task { try await service.run() } }
            for await _ in begun { break }
            for index in isWorkAskedFirst ? [1, 0] : [0, 1] {
                services[index].isAskedToEnd(tasks[index])
                _ = await tasks[index].result
            }
            #expect(ownership.owned.isEmpty)
        }

        private func service(
            _ work: Work, _ ownership: ShardOwnership, _ begin: AsyncStream<Void>.Continuation
        ) -> Service {
            let untilCancelled: @Sendable () async -> Void = {
                begin.yield()
                for await _ in AsyncStream<Never>.makeStream().stream {}
            }
            let asksTheOwnership: @Sendable (Task<Void, any Error>) -> Void = { _ in
                Task { await ownership.shutdown() }
            }
            let isCancelled: @Sendable (Task<Void, any Error>) -> Void = { $0.cancel() }
            let locks = ShardLocks(ownership)
            switch work {
            case .cancelledBody, .bodyUntilTheDrain:
                return Service(
                    run: {
                        try await eventually("the shard") { ownership.owned == [0] }
                        try await ownership.withShard(0) { _ in await untilCancelled() }
                    }, isAskedToEnd: work == .cancelledBody ? isCancelled : asksTheOwnership)
            case .cancelledLock:
                return Service(
                    run: { try await locks.withLock("name") { _ in await untilCancelled() } },
                    isAskedToEnd: isCancelled)
            case .eventsToTheirEnd:
                return Service(
                    run: { for await event in ownership.events where event.kind == .owned { begin.yield() } },
                    isAskedToEnd: asksTheOwnership)
            case .locksUntilTheyAreRefused:
                return Service(
                    run: {
                        while true {
                            try await locks.withLock("name") { _ in
                                begin.yield()
                                await Task.yield()
                            }
                        }
                    }, isAskedToEnd: asksTheOwnership)
            }
        }
    }
}
