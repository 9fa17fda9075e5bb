import MQLock

/// The AMQP methods that have come through a `FaultyProxy`, in the order in which the proxy saw them.
final class MethodLog: Sendable {
    /// One direction of one connection.
    struct Direction: Hashable, Sendable {
        let connection: Int
        let isToBroker: Bool
    }

    struct Method: Sendable, CustomStringConvertible {
        let direction: Direction
        let channel: UInt16
        let kind: Kind

        var description: String {
            "\(direction.connection).\(channel) \(direction.isToBroker ? "to" : "from") the broker: \(kind)"
        }
    }

    /// The class and the method as numbers; AMQP 0-9-1, section 1.
    struct Kind: Equatable, Sendable, CustomStringConvertible {
        let section: UInt16
        let method: UInt16

        static let channelClose = Self(section: 20, method: 40)
        static let channelCloseOK = Self(section: 20, method: 41)
        static let consume = Self(section: 60, method: 20)
        static let cancel = Self(section: 60, method: 30)
        static let get = Self(section: 60, method: 70)

        var description: String { "\(section).\(method)" }
    }

    private struct State {
        var rest: [Direction: [UInt8]] = [:]
        var methods: [Method] = []
    }

    private let state = Locked(State())

    var methods: [Method] { state.withLock(\.methods) }

    func append(_ bytes: some Sequence<UInt8>, in direction: Direction) {
        state.withLock { state in
            var rest = state.rest[direction] ?? []
            rest += bytes
            var start = 0
            // The protocol header, which comes first, has the length of a frame without a payload.
            while rest.count - start >= 8 {
                let frame = rest[start...]
                let isHeader = frame.starts(with: Array("AMQP".utf8))
                let size = isHeader ? 0 : Int(Self.number(frame.dropFirst(3).prefix(4)))
                guard frame.count >= size + 8 else { break }
                if !isHeader, frame.first == 1 {
                    let payload = frame.dropFirst(7).prefix(4)
                    state.methods.append(
                        Method(
                            direction: direction, channel: UInt16(Self.number(frame.dropFirst(1).prefix(2))),
                            kind: Kind(
                                section: UInt16(Self.number(payload.prefix(2))),
                                method: UInt16(Self.number(payload.suffix(2))))))
                }
                start += size + 8
            }
            state.rest[direction] = Array(rest[start...])
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }
}
