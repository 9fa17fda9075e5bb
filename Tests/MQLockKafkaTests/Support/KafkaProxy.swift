import Foundation
import MQLock
import Testing

/// A TCP proxy between one client and the brokers of a mock cluster on one port, that knows where a message of Kafka's
/// protocol begins and ends: it can fall silent right behind a request, hold answers back, and cut.
///
/// Brokers tell clients their own addresses; the proxy puts its own port there. One thread serves all connections.
final class KafkaProxy: Sendable {
    struct Faults {
        /// As a network that drops packets: nothing passes in either direction, and nobody is told.
        var isSilent = false
        /// The same in one direction only.
        var silentToBroker = false
        var silentToClient = false
        /// Falls silent as soon as a request with this API key has been passed to the broker.
        var silentBehind: Int16?
        /// How long answers are held back.
        var delay: Duration = .zero
        /// Resets every connection that stands, once.
        var cut = false
        var isStopped = false
        /// How many requests with each API key have been passed to the broker.
        var requests: [Int16: Int] = [:]
    }

    let port: UInt16
    private let wake: Int32
    private let faults = Locked(Faults())

    /// - Parameter broker: a cluster of one broker on the loopback address.
    init(to broker: LiveKafka) throws {
        let target = try #require(broker.brokers.first?.split(separator: ":").last.flatMap { UInt16($0) })
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = Self.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 ? getsockname(listener, $0, &size) : -1
            }
        }
        try #require(status == 0 && listen(listener, 64) == 0)
        port = UInt16(bigEndian: address.sin_port)
        let ends = try closedInChildren()
        for descriptor in [ends.0, listener] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        wake = ends.1
        let (port, faults, reader, writer) = (port, faults, ends.0, ends.1)
        Thread.detachNewThread {
            KafkaProxyLoop(listener: listener, target: target, port: port, wake: reader, faults: faults).run()
            for descriptor in [listener, reader, writer] { close(descriptor) }
        }
    }

    deinit { change { $0.isStopped = true } }

    /// The brokers, as seen through this proxy.
    func broker(of other: LiveKafka) -> LiveKafka { LiveKafka(brokers: ["127.0.0.1:\(port)"], control: other.control) }

    func change(_ body: (inout Faults) -> Void) {
        // Under the lock: the loop closes the sockets only after it has seen the stop.
        faults.withLock { faults in
            body(&faults)
            var byte: UInt8 = 0
            _ = write(wake, &byte, 1)
        }
    }

    var isSilent: Bool { faults.withLock { $0.isSilent } }

    /// How many requests with this API key have been passed to the broker.
    func requests(_ key: Int16) -> Int { faults.withLock { $0.requests[key] ?? 0 } }

    static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}

/// One direction of one connection.
private struct Flow {
    let from: Int32
    let to: Int32
    let isToBroker: Bool
    /// The beginning of a message.
    var partial: [UInt8] = []
    var pending: [(due: ContinuousClock.Instant, bytes: [UInt8])] = []
    var ended = false
}

/// What the proxy's thread does.
private final class KafkaProxyLoop {
    private let listener: Int32
    private let target: UInt16
    private let wake: Int32
    private let faults: Locked<KafkaProxy.Faults>
    /// A broker's address in an answer: the host and the port. How the host's length is written before it depends on the
    /// version of the answer, and so on librdkafka's.
    private let brokerAddress: [UInt8]
    private let ownAddress: [UInt8]
    private var flows: [Flow] = []

    init(listener: Int32, target: UInt16, port: UInt16, wake: Int32, faults: Locked<KafkaProxy.Faults>) {
        (self.listener, self.target, self.wake, self.faults) = (listener, target, wake, faults)
        func address(_ port: UInt16) -> [UInt8] {
            Array("127.0.0.1".utf8) + [0, 0, UInt8(port >> 8), UInt8(port & 0xFF)]
        }
        (brokerAddress, ownAddress) = (address(target), address(port))
    }

    func run() {
        while true {
            let now = faults.withLock { faults in
                defer { faults.cut = false }
                return faults
            }
            if now.isStopped || now.cut { for flow in flows where flow.isToBroker { hangUp(flow) } }
            if now.isStopped { return }
            for index in flows.indices { pass(&flows[index]) }
            for flow in flows where flow.isToBroker && isOver(flow) { hangUp(flow) }
            wait()
            accept()
            for index in flows.indices { receive(&flows[index]) }
        }
    }

    private func isSilent(_ flow: Flow) -> Bool {
        faults.withLock { $0.isSilent || (flow.isToBroker ? $0.silentToBroker : $0.silentToClient) }
    }

    private func wait() {
        var descriptors = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        descriptors.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
        var timeout: Int32 = -1
        for flow in flows where !isSilent(flow) {
            if !flow.ended { descriptors.append(pollfd(fd: flow.from, events: Int16(POLLIN), revents: 0)) }
            if let due = flow.pending.first?.due {
                let left = max(
                    1, Int32(clamping: ContinuousClock.now.duration(to: due).nanoseconds / 1_000_000 + 1))
                timeout = timeout < 0 ? left : min(timeout, left)
            }
        }
        poll(&descriptors, nfds_t(descriptors.count), timeout)
        var bytes = [UInt8](repeating: 0, count: 64)
        _ = read(wake, &bytes, bytes.count)
    }

    private func accept() {
        while true {
            let client = Foundation.accept(listener, nil, nil)
            guard client >= 0 else { return }
            let broker = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = KafkaProxy.loopback(target)
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(broker, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            for descriptor in [client, broker] {
                if status != 0 { close(descriptor) }
                _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            }
            guard status == 0 else { continue }
            flows.append(Flow(from: client, to: broker, isToBroker: true))
            flows.append(Flow(from: broker, to: client, isToBroker: false))
        }
    }

    private func receive(_ flow: inout Flow) {
        guard !isSilent(flow) else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !flow.ended {
            let count = read(flow.from, &buffer, buffer.count)
            guard count > 0 else {
                if count == 0 || errno != EAGAIN { flow.ended = true }
                break
            }
            flow.partial += buffer[..<count]
        }
        let delay = flow.isToBroker ? .zero : faults.withLock { $0.delay }
        while let message = nextMessage(&flow) { flow.pending.append((.now.advanced(by: delay), message)) }
    }

    /// A message with its length before it, once it has come as a whole.
    private func nextMessage(_ flow: inout Flow) -> [UInt8]? {
        guard flow.partial.count >= 4 else { return nil }
        let length = 4 + flow.partial[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard flow.partial.count >= length else { return nil }
        var message = Array(flow.partial[..<length])
        flow.partial.removeFirst(length)
        guard !flow.isToBroker, length >= brokerAddress.count else { return message }
        for start in 0...(length - brokerAddress.count)
        where message[start] == brokerAddress[0]
            && message[start..<(start + brokerAddress.count)].elementsEqual(brokerAddress)
        {
            message.replaceSubrange(start..<(start + brokerAddress.count), with: ownAddress)
        }
        return message
    }

    private func pass(_ flow: inout Flow) {
        while !isSilent(flow), let first = flow.pending.first, first.due <= .now {
            let count = send(flow.to, first.bytes, first.bytes.count, Int32(MSG_NOSIGNAL))
            if count < 0, errno == EAGAIN { return }
            if count > 0, count < first.bytes.count {
                flow.pending[0].bytes.removeFirst(count)
                continue
            }
            flow.pending.removeFirst()
            // A request begins with its API key, behind its length.
            if flow.isToBroker, first.bytes.count > 6 {
                let key = Int16(first.bytes[4]) << 8 | Int16(first.bytes[5])
                faults.withLock {
                    $0.requests[key, default: 0] += 1
                    if $0.silentBehind == key { ($0.isSilent, $0.silentBehind) = (true, nil) }
                }
            }
        }
    }

    /// One side has hung up, and the other has got what was before.
    private func isOver(_ flow: Flow) -> Bool {
        let both = flows.filter { $0.from == flow.from || $0.from == flow.to }
        return both.contains { $0.ended && $0.pending.isEmpty }
    }

    private func hangUp(_ flow: Flow) {
        for descriptor in [flow.from, flow.to] { close(descriptor) }
        flows.removeAll { $0.from == flow.from || $0.from == flow.to }
    }
}
