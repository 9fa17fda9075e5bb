import Testing

@testable import MQLockRabbitMQ

/// The smallest actor that owns a connection: what the session does, without locks.
private actor Driver {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private var connection: AMQPConnection?
    private var waiters: [CheckedContinuation<Void, any Error>] = []
    private(set) var failure: ConnectionFailure?

    init() throws {
        loop = try EventLoop(name: "mqlock-test")
    }

    deinit { loop.stop() }

    /// Blocks the loop's thread, which serves nobody yet.
    func open(_ endpoint: Endpoint) throws {
        let connection = try AMQPConnection.open(endpoint)
        self.connection = connection
        connection.beginBatch()
        loop.afterTurn = { connection.flush() }
        // Weak: the loop holds its handlers, and the actor the loop.
        loop.watch(
            connection.socketDescriptor, hasBuffered: { connection.hasBufferedInput },
            onReadable: { [weak self] in self?.assumeIsolated { $0.read() } })
        try connection.channelOpen(1)
        service()
    }

    func probe() async throws {
        guard let connection else { throw failure ?? ConnectionFailure(.timedOut("not open")) }
        try connection.basicQos(1, prefetch: 1)
        try await withCheckedThrowingContinuation { waiters.append($0) }
    }

    func close() {
        connection?.close()
        lost(ConnectionFailure(.brokerClosed(code: 0, text: "closed")))
    }

    var socket: SocketHandle? { connection?.socket }

    private func read() {
        do throws(ConnectionFailure) {
            try connection?.readAvailable { inbound in
                if case .qosOK = inbound { waiters.removeFirst().resume() }
            }
        } catch {
            lost(error)
        }
    }

    /// Heartbeats leave inside library calls only.
    private func service() {
        guard let connection else { return }
        read()
        loop.schedule(at: .now + connection.serviceInterval) { [weak self] in self?.assumeIsolated { $0.service() } }
    }

    private func lost(_ failure: ConnectionFailure) {
        loop.unwatch()
        loop.afterTurn = nil
        connection = nil
        self.failure = failure
        for waiter in waiters { waiter.resume(throwing: failure) }
        waiters = []
    }
}

extension BrokerConnectionTests {
    @Suite("Driven by an actor")
    struct ActorDriveTests {
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
            try await driver.open(endpoint)
            try await Task.sleep(for: .seconds(4))
            try await driver.probe()
            await driver.close()
        }

        @Test func lossEndsWhatWaits() async throws {
            let driver = try Driver()
            try await driver.open(TestBroker.endpoint())
            await driver.socket?.shutdownSocket()
            await #expect(throws: ConnectionFailure.self) { for _ in 0..<1000 { try await driver.probe() } }
            #expect(await driver.failure != nil)
        }

        @Test func threadAndSocketGoWithTheActor() async throws {
            weak var loop: EventLoop?
            weak var socket: SocketHandle?
            do {
                let driver = try Driver()
                try await driver.open(TestBroker.endpoint())
                try await driver.probe()
                loop = driver.loop
                socket = await driver.socket
            }
            for _ in 0..<500 where loop != nil || socket != nil { try await Task.sleep(for: .milliseconds(10)) }
            #expect(loop == nil)
            #expect(socket == nil)
        }
    }
}
