import Foundation
import MQLock

/// A TCP proxy that can fall silent in either direction while both sockets stay open, as a network does that drops
/// packets; and that can be slow, and cut. One thread of its own serves all connections by `poll`.
final class FaultyProxy: Sendable {
    struct Faults {
        /// Nothing that clients send is read or passed on, not even the end of the connection.
        var silentToBroker = false
        /// The same for what the broker sends.
        var silentToClient = false
        /// How long each piece is held back.
        var delay: Duration = .zero
        /// Resets every connection that stands, once.
        var cut = false
        /// The same, right behind whatever has come for the clients.
        var cutsBehindPending = false
        var isStopped = false
    }

    let port: UInt16
    private let listener: Int32
    private let target: UInt16
    private let wake: [Int32]
    private let faults = Locked(Faults())

    /// - Parameter log: gets what comes through, of both directions.
    init(to target: UInt16, log: MethodLog? = nil) throws {
        self.target = target
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var bound = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, size) }
        }
        _ = withUnsafeMutablePointer(to: &bound) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &size) }
        }
        port = UInt16(bigEndian: bound.sin_port)
        guard status == 0, listen(listener, 64) == 0 else { throw Overdue(what: "a port to listen on", limit: .zero) }
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        wake = ends
        for descriptor in wake + [listener] {
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        Thread.detachNewThread { [listener, target, wake, faults] in
            ProxyLoop(listener: listener, target: target, wake: wake[0], faults: faults, log: log).run()
            for descriptor in wake + [listener] { close(descriptor) }
        }
    }

    deinit { change { $0.isStopped = true } }

    func change(_ body: (inout Faults) -> Void) {
        faults.withLock { body(&$0) }
        var byte: UInt8 = 0
        _ = write(wake[1], &byte, 1)
    }

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
    let direction: MethodLog.Direction
    var isToBroker: Bool { direction.isToBroker }
    var pending: [(due: ContinuousClock.Instant, bytes: [UInt8])] = []
    var ended = false
    var passedEnd = false
}

/// What the proxy's thread does.
private final class ProxyLoop {
    private let listener: Int32
    private let target: UInt16
    private let wake: Int32
    private let faults: Locked<FaultyProxy.Faults>
    private let log: MethodLog?
    private var flows: [Flow] = []
    private var connections = 0

    init(listener: Int32, target: UInt16, wake: Int32, faults: Locked<FaultyProxy.Faults>, log: MethodLog?) {
        (self.listener, self.target, self.wake, self.faults, self.log) = (listener, target, wake, faults, log)
    }

    func run() {
        while true {
            let now = faults.withLock { faults in
                defer { (faults.cut, faults.cutsBehindPending) = (false, false) }
                return faults
            }
            if now.cutsBehindPending {
                for index in flows.indices where !flows[index].isToBroker {
                    receive(&flows[index], .zero)
                    pass(&flows[index])
                }
                closeAll()
            }
            if now.isStopped || now.cut { closeAll() }
            if now.isStopped { return }
            for index in flows.indices where !isSilent(flows[index], now) { pass(&flows[index]) }
            retire()
            wait(now)
            accept()
            for index in flows.indices where !isSilent(flows[index], now) { receive(&flows[index], now.delay) }
        }
    }

    private func isSilent(_ flow: Flow, _ faults: FaultyProxy.Faults) -> Bool {
        flow.isToBroker ? faults.silentToBroker : faults.silentToClient
    }

    private func wait(_ faults: FaultyProxy.Faults) {
        var descriptors = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        descriptors.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
        var timeout: Int32 = -1
        for flow in flows where !isSilent(flow, faults) {
            if !flow.ended { descriptors.append(pollfd(fd: flow.from, events: Int16(POLLIN), revents: 0)) }
            // Also for a receiver whose buffer is full: look again soon.
            if let due = flow.pending.first?.due {
                let left = Int32(clamping: ContinuousClock.now.duration(to: due).nanoseconds / 1_000_000) + 1
                timeout = timeout < 0 ? max(1, left) : min(timeout, max(1, left))
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
            let broker = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = FaultyProxy.loopback(target)
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(broker, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard status == 0 else {
                close(client)
                close(broker)
                continue
            }
            for descriptor in [client, broker] {
                _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                var on: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            }
            connections += 1
            flows.append(
                Flow(from: client, to: broker, direction: .init(connection: connections, isToBroker: true)))
            flows.append(
                Flow(from: broker, to: client, direction: .init(connection: connections, isToBroker: false)))
        }
    }

    private func receive(_ flow: inout Flow, _ delay: Duration) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !flow.ended {
            let count = read(flow.from, &buffer, buffer.count)
            if count > 0 {
                log?.append(buffer[..<count], in: flow.direction)
                flow.pending.append((.now.advanced(by: delay), Array(buffer[..<count])))
            } else if count == 0 || errno != EAGAIN {
                flow.ended = true
            } else {
                return
            }
        }
    }

    private func pass(_ flow: inout Flow) {
        while let first = flow.pending.first, first.due <= .now {
            let count = send(flow.to, first.bytes, first.bytes.count, Int32(MSG_NOSIGNAL))
            if count < 0, errno == EAGAIN { return }
            if count > 0, count < first.bytes.count {
                flow.pending[0].bytes.removeFirst(count)
            } else {
                flow.pending.removeFirst()
            }
        }
        if flow.ended, flow.pending.isEmpty, !flow.passedEnd {
            flow.passedEnd = true
            shutdown(flow.to, Int32(SHUT_WR))
        }
    }

    /// Closes the sockets of connections that have ended in both directions.
    private func retire() {
        let done = Set(flows.filter(\.passedEnd).map(\.from)).intersection(flows.filter(\.passedEnd).map(\.to))
        flows.removeAll { flow in
            guard done.contains(flow.from) else { return false }
            close(flow.from)
            return true
        }
    }

    private func closeAll() {
        for flow in flows {
            // No lingering: a reset, as from a host that has forgotten the connection.
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(flow.from, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
            close(flow.from)
        }
        flows = []
    }
}
