import CMQLockRabbitMQ

/// Memory for the C values of one send; `reset` frees all of it.
final class Arena {
    private let block: UnsafeMutableRawPointer
    private let capacity: Int
    private var used = 0
    /// Allocations that did not fit the block.
    private var extras: [UnsafeMutableRawPointer] = []

    init(capacity: Int = 16_384) {
        self.capacity = capacity
        block = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        reset()
        block.deallocate()
    }

    func reset() {
        used = 0
        for extra in extras { extra.deallocate() }
        extras.removeAll(keepingCapacity: true)
    }

    func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let rounded = (byteCount + 15) & ~15
        guard rounded <= capacity - used else {
            let extra = UnsafeMutableRawPointer.allocate(byteCount: max(rounded, 16), alignment: 16)
            extras.append(extra)
            return extra
        }
        defer { used += rounded }
        return block + used
    }

    func allocate<Element>(_ type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        allocate(max(count, 1) * MemoryLayout<Element>.stride).bindMemory(to: type, capacity: max(count, 1))
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ bytes: [UInt8]) -> amqp_bytes_t {
        bytes.withUnsafeBytes { copy($0) }
    }

    private func copy(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let base = source.baseAddress, source.count > 0 else { return amqp_bytes_t(len: 0, bytes: nil) }
        let target = allocate(source.count)
        target.copyMemory(from: base, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: target)
    }
}

extension [UInt8] {
    init(_ bytes: amqp_bytes_t) {
        self.init(UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.bytes == nil ? 0 : bytes.len))
    }
}

extension String {
    /// Repairs invalid UTF-8: for texts that are shown or compared, never for data.
    init(_ bytes: amqp_bytes_t) {
        let buffer = UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.bytes == nil ? 0 : bytes.len)
        self.init(decoding: buffer, as: UTF8.self)
    }
}
