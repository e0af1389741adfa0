/* CRC-32 (ISO-HDLC: polynomial 0x04C11DB7 reflected), equal to zlib.crc32 and binascii.crc32. */
#ifndef ST_CRC32_H
#define ST_CRC32_H

#include "st_common.h"

/* CRC of length more bytes. crc: that of the bytes before them, 0 to begin with. */
uint32_t st_crc32(uint32_t crc, const uint8_t *data, uint32_t length);

#endif
