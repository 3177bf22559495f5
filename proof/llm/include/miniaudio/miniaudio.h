/*
 * Stands in for miniaudio.h, which reads sound files. The model server includes
 * it, its Go module leaves it out, and Debian does not have it. Nobody speaks to
 * the model aloud here, so this one can read no sound at all.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef uint64_t ma_uint64;
typedef enum { MA_SUCCESS = 0, MA_NOT_IMPLEMENTED = -29 } ma_result;
typedef enum { ma_format_f32 } ma_format;
typedef enum { ma_encoding_format_wav } ma_encoding_format;

typedef struct {
	ma_format format;
	uint32_t channels, rate;
} ma_decoder_config;

typedef struct {
	const void *data;
} ma_decoder;

static inline ma_decoder_config ma_decoder_config_init(ma_format format, uint32_t channels, uint32_t rate) {
	ma_decoder_config config = {format, channels, rate};
	return config;
}

static inline ma_result ma_decoder_init_memory(const void *data, size_t size, const ma_decoder_config *config, ma_decoder *decoder) {
	return MA_NOT_IMPLEMENTED;
}

static inline ma_result ma_decoder_get_length_in_pcm_frames(ma_decoder *decoder, ma_uint64 *frames) {
	return MA_NOT_IMPLEMENTED;
}

static inline ma_result ma_decoder_read_pcm_frames(ma_decoder *decoder, void *out, ma_uint64 frames, ma_uint64 *read) {
	return MA_NOT_IMPLEMENTED;
}

static inline ma_result ma_decoder_uninit(ma_decoder *decoder) {
	return MA_SUCCESS;
}
