import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The smallest actor that owns a link: what a provider does, without locks.
private actor Driver {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private var link: Link?
    private var channel: Channel?
    private var waiters: [CheckedContinuation<Void, any Error>] = []
    private(set) var failure: ConnectionFailure?
    private(set) var blocked: [String?] = []
    private(set) var closed: [UInt16] = []

    init() throws { loop = try EventLoop(name: "mqlock-test") }

    deinit { loop.stop() }

    func open(_ endpoint: Endpoint, requestTimeout: Duration = .seconds(5), prefetch: UInt16? = nil) async throws {
        let failure: ConnectionFailure? = await withCheckedContinuation { continuation in
            loop.offload {
                Result { () throws(ConnectionFailure) in try AMQPConnection.open(endpoint) }
            } then: { result in
                continuation.resume(returning: self.opened(result, requestTimeout, prefetch))
            }
        }
        if let failure { throw failure }
    }

    private func opened(
        _ result: Result<AMQPConnection, ConnectionFailure>, _ requestTimeout: Duration, _ prefetch: UInt16?
    ) -> ConnectionFailure? {
        switch result {
        case .failure(let failure): return failure
        case .success(let connection):
            let link = Link(connection, on: loop, requestTimeout: requestTimeout, prefetch: prefetch)
            self.link = link
            link.serve(for: self)
            channel = link.openBare(for: self)
            return nil
        }
    }

    func probe() async throws {
        guard let channel else { throw failure ?? ConnectionFailure(.timedOut("not open")) }
        try await withCheckedThrowingContinuation { continuation in
            waiters.append(continuation)
            channel.write { connection, channel throws(ConnectionFailure) in
                try connection.basicQos(channel, prefetch: 1)
            }
        }
    }

    /// A request whose answer is in the test's hands.
    func ask() { channel?.declare("q", passive: true) }

    /// Opens channels and closes them again, many times over the numbers that there are.
    func openAndClose(_ count: Int) async throws -> Int {
        var opened = 0
        for _ in 0..<count {
            while link?.open(for: self) == nil { try await probe() }
            opened += 1
            let channel = link?.open(for: self)
            channel?.close()
        }
        return opened
    }

    func allChannels() -> Int {
        var count = 0
        while link?.open(for: self) != nil { count += 1 }
        return count
    }

    func close() {
        link?.close()
        lost(ConnectionFailure(.brokerClosed(code: 0, text: "closed")))
    }

    func breakOff() { link?.fail(ConnectionFailure(.heartbeatTimeout)) }

    fileprivate func heard(_ inbound: Inbound) {
        switch inbound {
        case .qosOK: if !waiters.isEmpty { waiters.removeFirst().resume() }
        case .channelClosed(_, let code, _, _, _): closed.append(code)
        default: break
        }
    }

    fileprivate func lost(_ failure: ConnectionFailure) {
        (link, channel) = (nil, nil)
        self.failure = failure
        for waiter in waiters { waiter.resume(throwing: failure) }
        waiters = []
    }

    fileprivate func noteBlocked(_ reason: String?) { blocked.append(reason) }
}

extension Driver: LinkOwner, ChannelHandler {
    nonisolated func received(_ inbound: Inbound, on channel: Channel) { assumeIsolated { $0.heard(inbound) } }
    nonisolated func linkEnded(_ failure: ConnectionFailure) { assumeIsolated { $0.lost(failure) } }
    nonisolated func linkBlocked(_ reason: String?) { assumeIsolated { $0.noteBlocked(reason) } }
}

extension BrokerConnectionTests {
    /// A link on the real broker.
    @Suite struct LinkTests {
        @Test func requestsFromManyTasks() async throws {
            let driver = try Driver()
            try await driver.open(TestBroker.endpoint())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<50 {
                    group.addTask { for _ in 0..<100 { try await driver.probe() } }
                }
                try await group.waitForAll()
            }
            await driver.close()
            await #expect(throws: ConnectionFailure.self) { try await driver.probe() }
        }

        @Test func idlesBeyondTheHeartbeat() async throws {
            let driver = try Driver()
            var endpoint = try TestBroker.endpoint()
            endpoint.heartbeat = 1
            try await driver.open(endpoint, prefetch: 8)
            try await Task.sleep(for: .seconds(4))
            try await driver.probe()
            await driver.close()
        }

        @Test func lossEndsWhatWaits() async throws {
            let driver = try Driver()
            try await driver.open(TestBroker.endpoint())
            await driver.breakOff()
            await #expect(throws: ConnectionFailure.self) { for _ in 0..<1000 { try await driver.probe() } }
            #expect(await driver.failure != nil)
        }

        @Test func channelsAreUsedAgainAndRunOut() async throws {
            let driver = try Driver()
            var endpoint = try TestBroker.endpoint()
            endpoint.channelMax = 20
            try await driver.open(endpoint, prefetch: 8)
            #expect(try await driver.openAndClose(10) == 10)
            try await driver.probe()
            #expect(await driver.allChannels() <= 19)
            // There are none left, and that is no failure.
            #expect(await driver.allChannels() == 0)
            try await driver.probe()
            await driver.close()
        }

        @Test func threadAndSocketGoWithTheClose() async throws {
            weak var loop: EventLoop?
            do {
                let driver = try Driver()
                try await driver.open(TestBroker.endpoint())
                try await driver.probe()
                loop = driver.loop
                await driver.close()
            }
            for _ in 0..<500 where loop != nil { try await Task.sleep(for: .milliseconds(10)) }
            #expect(loop == nil)
        }
    }
}

/// A link with a peer that breaks the protocol: no trap, no hang, an end with a reason.
@Suite("Links to broken brokers", .serialized)
struct BrokenLinkTests {
    private func end(_ bytes: [UInt8], asking: Bool = false) async throws -> (Driver, ConnectionFailure?) {
        let server = try FakeServer(saying: Frames.login(heartbeat: 1) + bytes)
        let driver = try Driver()
        try await driver.open(
            AMQPURI.parse("amqp://127.0.0.1:\(server.port)?heartbeat=1"), requestTimeout: .milliseconds(300))
        if asking { await driver.ask() }
        for _ in 0..<500 {
            if await driver.failure != nil { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        return (driver, await driver.failure)
    }

    /// Answers to requests that nobody has made, repeated ones, and ones of another kind.
    @Test(arguments: [
        Frames.method(1, 50, 11, Frames.short("q") + [0, 0, 0, 1, 0, 0, 0, 2]),
        Frames.method(1, 60, 21, Frames.short("c")),
        Frames.method(1, 50, 41, [0, 0, 0, 0]), Frames.method(1, 50, 21), Frames.method(1, 40, 11),
        Frames.method(1, 60, 72, Frames.short("")),
    ])
    func whatWasNotAskedIsNotAnswered(_ answer: [UInt8]) async throws {
        let (_, failure) = try await end(answer)
        guard case .transport = failure?.kind else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    /// However many channels the broker allows, there are so many, and no number comes twice.
    @Test(arguments: [1, 2, 2047, 65535] as [UInt16]) func channelNumbersEndAtTheLast(_ channelMax: UInt16) async throws
    {
        let server = try FakeServer(saying: Frames.login(channelMax: channelMax, heartbeat: 60))
        let driver = try Driver()
        var endpoint = try AMQPURI.parse("amqp://127.0.0.1:\(server.port)?heartbeat=60&channel_max=0")
        endpoint.channelMax = .max
        try await driver.open(endpoint)
        // One is the driver's own.
        #expect(await driver.allChannels() == Int(channelMax) - 1)
        #expect(await driver.allChannels() == 0)
        #expect(await driver.failure == nil)
        await driver.close()
    }

    @Test func aRequestThatIsNotAnsweredEndsItsChannel() async throws {
        let (driver, failure) = try await end([], asking: true)
        #expect(await driver.closed == [ChannelFault.unanswered])
        // The peer says nothing at all.
        #expect(failure?.kind == .heartbeatTimeout)
    }

    @Test func alarmsAreHandedOn() async throws {
        let (driver, _) = try await end(
            Frames.method(0, 10, 60, Frames.short("low on disk")) + Frames.method(0, 10, 61))
        #expect(await driver.blocked == ["low on disk", nil])
    }
}
